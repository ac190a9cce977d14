"""The names of the learners on the command line, in the order of tables; importing them loads no torch."""

NAMES = ("centroid", "logistic", "ridge", "prototypical", "attention_prototypical", "maml")
