"""How much two texts look alike, told without a model: by the letters that they have in a row.

    distance(a, b) = 1 - |S(a) & S(b)| / |S(a) | S(b)|        S(t): every three letters in a row of t

What an encoder sees as one and the same text ("could you" for "can you", "Thanks." for ", thanks") mostly differs in
few of them; what looks different may still mean the same, which only the encoder can tell.

Broder 1997, "On the resemblance and containment of documents", https://doi.org/10.1109/SEQUEN.1997.666900.  It counts
words in a row; a text of one sentence has too few of these.
"""

_WIDTH = 3  # letters


class Shingles:
    """Sets of letters in a row, as the bits of whole numbers, for texts that are compared with each other."""

    def __init__(self) -> None:
        self.bits: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The set of a text: one bit for every three letters that stand in a row in it, spaces around it included."""
        spaced = f" {text} "
        found = 0
        for piece in {spaced[start : start + _WIDTH] for start in range(len(spaced) - _WIDTH + 1)}:
            bit = self.bits.get(piece)
            if bit is None:
                bit = self.bits[piece] = 1 << len(self.bits)
            found |= bit
        return found


def distance(one: int, other: int) -> float:
    """Share of what stands in either of two sets that does not stand in both; from 0 to 1.

    Example:
        >>> shingles = Shingles()
        >>> can, could, how = map(shingles.of, ("can you freeze my card?", "could you freeze my card?", "how is it?"))
        >>> round(distance(can, could), 2), distance(can, can)
        (0.32, 0.0)
        >>> distance(can, how) > 0.9
        True
    """
    either = (one | other).bit_count()
    return 1 - (one & other).bit_count() / either if either else 0.0
