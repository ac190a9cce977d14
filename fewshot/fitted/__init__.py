"""The parts of a fitted classifier: evidence, explanations, sets of labels, rejection, model card."""
