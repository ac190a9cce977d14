"""How many labels of a support are wrong; importing this loads no torch."""


def wrong_places(fraction: float, k_shot: int) -> int:
    """The whole texts in `fraction * k_shot`: never a larger share than was asked for.

    Example:
        >>> [wrong_places(0.5, 5), wrong_places(0.3, 10), wrong_places(0.1, 4)]
        [2, 3, 0]
    """
    return int(fraction * k_shot + 1e-9)  # 0.3 * 10 may come out a hair below 3
