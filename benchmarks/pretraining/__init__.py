"""Training of the general students that ship: a teacher's hidden states, learnt from lines of text."""
