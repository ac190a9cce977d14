"""The number of wrong labels in a support; importing this loads no torch."""


def wrong_places(fraction: float, k_shot: int) -> int:
    """The number of wrong labels: `fraction * k_shot` rounded down, so never a larger share than `fraction`.

    Example:
        >>> [wrong_places(0.5, 5), wrong_places(0.3, 10), wrong_places(0.1, 4)]
        [2, 3, 0]
    """
    return int(fraction * k_shot + 1e-9)  # in floating point 0.3 * 10 may be slightly below 3
