"""Frame types, display order and safe starting points of a clip, derived from its packets without decoding.

A shortcut is used only if it is proven for the container and the codec. All other clips are decoded.
"""

from dataclasses import dataclass

from mocliplite.video import h264, mpeg4
from mocliplite.video.packets import CodedStream
from mocliplite.video.streams import OpenClip

# Containers that store the presentation timestamp of each frame, and one frame per packet.
_TIMESTAMPED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


@dataclass(frozen=True)
class Shortcut:
    """The frames of a clip as its packets prove them."""

    frame_types: str  # in display order
    order: list[int] | None  # packet number of each frame in display order; None if only the count is certain
    safe_starts: list[int]  # packet numbers at which decoding may start without changing any frame displayed later


def find_shortcut(clip: OpenClip, coded: CodedStream) -> Shortcut | None:
    """Return the shortcut of a clip, None if nothing is proven."""
    if not coded.packets or coded.lost or any(packet.is_corrupt for packet in coded.packets):
        return None
    if clip.info.codec == "mpeg4":
        return _mpeg4(clip, coded)
    if clip.info.codec == "h264" and clip.container.format.name in _TIMESTAMPED and coded.has_unique_timestamps:
        return _h264(clip, coded)
    return None


def _mpeg4(clip: OpenClip, coded: CodedStream) -> Shortcut | None:
    if coded.has_hidden_frames:
        return None
    # Not a list of bytes, which would be a second copy of the clip.
    pictures = mpeg4.read_pictures(map(bytes, coded.packets))
    frame_types = mpeg4.frame_types(pictures)
    # libavcodec drops a B-picture if its time is not between those of its references, such as after a gap.
    if frame_types is None or frame_types[:1] != "I" or ("B" in frame_types and not coded.is_evenly_spaced):
        return None
    coded_types = mpeg4.coded_frame_types(pictures)
    if coded_types is None or len(coded_types) != len(frame_types):
        return Shortcut(frame_types, None, [])
    # P-pictures refer to the previous I- or P-picture, B-pictures also to the next one: no picture displayed after an
    # I-picture needs a picture before it.
    order = mpeg4.display_order(coded_types)
    return Shortcut(frame_types, order, [number for number, frame_type in enumerate(coded_types) if frame_type == "I"])


def _h264(clip: OpenClip, coded: CodedStream) -> Shortcut | None:
    pictures = h264.read_pictures(map(bytes, coded.packets), clip.decoder.extradata)
    if pictures is None:
        return None
    order = sorted(range(len(pictures)), key=lambda number: coded.timestamps[number] or 0)
    # Picture order counts and timestamps must give the same order, and pictures before an IDR picture in the file must
    # be displayed before it.
    if [pictures[number].position for number in order] != sorted(picture.position for picture in pictures):
        return None
    visible = [number for number in order if not coded.packets[number].is_discard]
    frame_types = "".join(pictures[number].frame_type for number in visible)
    return Shortcut(frame_types, visible, [number for number, picture in enumerate(pictures) if picture.idr])
