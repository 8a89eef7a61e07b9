"""The footage that a motion network was trained on, and whether a clip is unlike it.

Another encoder chooses other vectors for the same motion, and in a larger picture a block covers less of it. So a
network may fail on such clips although nothing is wrong with them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ATTRIBUTES = ("codec", "height", "reencoded", "width")  # of a clip in a motion store, for footage_of
_REENCODED = "re-encoded"  # the codec is then one of motion.reencode, whatever that of the file is
_FACTOR = 1.5  # by which a picture may be smaller or larger than those in training


class Footage(NamedTuple):
    """What the motion of a clip was read from."""

    codec: str
    side: int  # the shorter side of the picture, in pixels


def footage_of(attributes: Mapping[str, Any]) -> Footage:
    """Return the footage of a clip, given its attributes in a motion store, or those of its Field."""
    codec = _REENCODED if attributes["reencoded"] else attributes["codec"]
    return Footage(codec, min(attributes["width"], attributes["height"]))


def summary(clips: Iterable[Footage]) -> dict[str, Any]:
    """Return what the config of a network records of its train clips: `codecs`, and lowest and highest of `side`."""
    codecs, sides = zip(*set(clips), strict=True)
    return {"codecs": sorted(set(codecs)), "side": [min(sides), max(sides)]}


def checked(recorded: Any) -> dict[str, Any] | None:
    """Return the footage that the config of a network records, or None. Raises an error for what is no `summary`."""
    if recorded is None:
        return None
    sides, codecs = recorded["side"], recorded["codecs"]
    if [type(side) for side in sides] != [int, int] or not all(isinstance(codec, str) for codec in codecs):
        raise ValueError("the footage has two sides and names of codecs")
    return {"side": sides, "codecs": codecs}


def warning(clip: Footage, trained_on: Mapping[str, Any] | None) -> str | None:
    """Return a sentence if a clip is unlike the footage of a network's config, None if it is like it.

    trained_on: see `summary`; None of networks whose config does not record it.
    """
    if trained_on is None:
        return None
    low, high = trained_on["side"]
    if clip.codec in trained_on["codecs"] and low / _FACTOR <= clip.side <= high * _FACTOR:
        return None
    sides = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"this is {clip.codec} with a shorter side of {clip.side} pixels, but the motion network was trained on "
        f"{' and '.join(trained_on['codecs'])} with {sides}, so it may fail here; train with motion.reencode, or "
        "convert such clips."
    )
