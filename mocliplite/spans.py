"""Even sampling of a sequence."""


def middles(length: int, count: int) -> list[int]:
    """Indices in the middle of `count` equal spans of `length` items."""
    return [(2 * span + 1) * length // (2 * count) for span in range(count)]
