"""What a fitted classifier holds and says: its evidence, explanations, sets of labels, rejection, its card."""
