"""For which files the packets tell, without decoding, which frames are shown and where decoding may begin.

A shortcut is taken only where it is proven for container and codec; for all other files the decoder is asked.
"""

from dataclasses import dataclass

from mocliplite.video import h264, mpeg4
from mocliplite.video.packets import Coded
from mocliplite.video.streams import Opened

# Containers that give each frame's time to show itself, and one frame in a packet.
_TIMED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


@dataclass(frozen=True)
class Shortcut:
    """What the packets tell."""

    kinds: str  # of the frames in the order in which they are shown
    order: list[int] | None  # of each frame, the number of its packet; None where only the count is certain
    starts: list[int]  # numbers of packets from which on every frame shown later decodes as in a sequential decode


def shortcut(clip: Opened, coded: Coded) -> Shortcut | None:
    """What the packets of a clip tell, None where that is not proven."""
    if not coded.packets or coded.lost or any(packet.is_corrupt for packet in coded.packets):
        return None
    if clip.info.codec == "mpeg4":
        return _mpeg4(clip, coded)
    if clip.info.codec == "h264" and clip.container.format.name in _TIMED and coded.timed:
        return _h264(clip, coded)
    return None


def _mpeg4(clip: Opened, coded: Coded) -> Shortcut | None:
    if coded.hides:
        return None
    content = [bytes(packet) for packet in coded.packets]
    kinds = mpeg4.kinds(content)
    # libavcodec drops B-pictures whose time does not lie between those of their references, as after a gap.
    if kinds is None or kinds[:1] != "I" or ("B" in kinds and not coded.regular):
        return None
    singles = mpeg4.single(content)
    if singles is None or len(singles) != len(kinds):
        return Shortcut(kinds, None, [])
    # P-pictures refer to the I- or P-picture before, B-pictures also to the one after: all that is shown after an
    # I-picture can do without what came before it.
    order = mpeg4.display_order(singles)
    return Shortcut(kinds, order, [number for number, kind in enumerate(singles) if kind == "I"])


def _h264(clip: Opened, coded: Coded) -> Shortcut | None:
    pictures = h264.pictures([bytes(packet) for packet in coded.packets], clip.decoder.extradata)
    if pictures is None:
        return None
    order = sorted(range(len(pictures)), key=lambda number: coded.stamps[number] or 0)
    # The order of the pictures themselves has to be that of the times, and what comes before an IDR picture in the file
    # has to be shown before it.
    if order != sorted(range(len(pictures)), key=lambda number: (pictures[number].period, pictures[number].count)):
        return None
    shown = [number for number in order if not coded.packets[number].is_discard]
    kinds = "".join(pictures[number].kind for number in shown)
    return Shortcut(kinds, shown, [number for number, picture in enumerate(pictures) if picture.idr])
