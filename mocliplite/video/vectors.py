"""The motion vectors of a clip: its own, or those of what is made of it in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import h264, mpeg2, mpeg4
from mocliplite.video.frames import decoded, kind_of, of_one_size, set_up, times_of
from mocliplite.video.orientation import PLAIN, Orientation, orientation_of
from mocliplite.video.packets import Coded, beyond, read_packets
from mocliplite.video.reencode import reencoded
from mocliplite.video.streams import DEFAULT_LIMITS, Info, Limits, Opened, opened

# AVMotionVector as libavcodec lays it out in memory, padding included.
EXPORTED = np.dtype(
    {
        "names": [
            *("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y"),
            *("flags", "motion_x", "motion_y", "motion_scale"),
        ],
        "formats": ["i4", "u1", "u1", "i2", "i2", "i2", "i2", "u8", "i4", "i4", "u2"],
        "offsets": [0, 4, 5, 6, 8, 10, 12, 16, 24, 28, 32],
        "itemsize": 40,
    }
)
NO_VECTORS = np.zeros(0, dtype=EXPORTED)
# The first, second and fourth 8 bytes of it, without flags and padding: what a field is made of.
BLOCK = np.dtype(
    [
        *(("source", "i4"), ("w", "u1"), ("h", "u1")),
        *((name, "i2") for name in ("src_x", "src_y", "dst_x", "dst_y")),
        *(("motion_scale", "u2"), ("motion_x", "i4"), ("motion_y", "i4")),
    ]
)

# Of these libavcodec exports vectors whose sign and scale our tests have seen to be right; of B-frames of some only.
EXPORTING = ("h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
_B_VECTORS = ("h264", "mpeg1video", "mpeg2video")
# What an interlaced clip of a codec without usable vectors of its own is encoded as, like clips without any vectors.
AUTO = Reencode(codec="mpeg4", gop=12, bframes=0, size=None)

# A field has two bytes for each cell of 8x8 pixels, and is copied twice while it is made.
_PIXELS_A_BYTE = 8 * 8 // 6

# Neither changes a vector; both save the work of pixels that nobody looks at.
_EXPORT = {"flags2": "+export_mvs", "skip_loop_filter": "all", "skip_idct": "all"}


@dataclass
class _Seen:
    """What decoding met, frame by frame in display order."""

    orientation: Orientation = PLAIN
    interlaced: bool = False
    kinds: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of the packet that each frame came in
    damaged: list[bool] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    blocks: "_Blocks" = field(default_factory=lambda: _Blocks())
    lost: int = 0


@dataclass(frozen=True)
class Vectors:
    """The motion vectors of a whole clip, its T frames in display order."""

    info: Info  # width and height of the picture that they are of
    reencoded: bool
    interlaced: bool  # whether any picture of the clip is coded as fields
    orientation: Orientation  # how a player shows the picture that they are of
    kinds: list[str]  # "I", "P" or "B"
    order: np.ndarray  # int64 [T], each frame's place in the order of decoding
    reference: np.ndarray  # bool [T], whether other frames may refer to it
    damaged: np.ndarray  # bool [T], whether the decoder made up a part of the frame; such a frame has no blocks
    lost: int  # packets that do not decode, and frames that the file lacks because it ends early
    time: np.ndarray  # float64 [T], seconds from the first frame
    counts: np.ndarray  # int64 [T], blocks of each frame
    blocks: np.ndarray  # BLOCK [sum of counts]


def motion_vectors(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, vectors) for each frame, in display order.

    kind is "I", "P" or "B". vectors is a structured array with FFmpeg's field names (AVMotionVector: source, w, h,
    src_x, src_y, dst_x, dst_y, flags, motion_x, motion_y, motion_scale), empty for a frame without any.
    Raises UserError for a file that cannot be read or decoded.
    """
    with opened(path, limits) as clip:
        set_up(clip.decoder, _EXPORT)
        for frame in of_one_size(path, clip.container.decode(clip.stream)):
            if frame is not None:
                yield kind_of(frame), _exported(frame).copy()


def read_vectors(
    path: str | Path,
    reencode: Reencode | None = None,
    limits: Limits = DEFAULT_LIMITS,
    without: Reencode | Literal["skip"] | None = None,
) -> Vectors:
    """Return all vectors of a clip: its own, or those of the clip re-encoded in memory with the settings `reencode`.

    An interlaced H.264 clip is always re-encoded, because libavcodec does not say which of its vectors are of fields.
    The zeros that libavcodec exports for B-frames of MPEG-4 Part 2 are left out.

    without: what to do with a clip in a codec that exports no vectors: re-encode it, "skip" decoding it, so that its
    frames are only counted by packets, or, with None, decode it. Raises UserError for a file that cannot be read, has
    no frame that decodes, or changes its size.
    """
    found = _read(path, reencode, limits, without, count_b=True)
    if found is None:
        found = _read(path, reencode, limits, without, count_b=False)
    if found is None or not found.kinds:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    return found


def _read(
    path: str | Path,
    reencode: Reencode | None,
    limits: Limits,
    without: Reencode | Literal["skip"] | None,
    count_b: bool,
) -> Vectors | None:
    """read_vectors; with count_b the B-frames of MPEG-4, which say nothing, are counted and not decoded.

    None where the count and the decoder disagree.
    """
    with opened(path, limits) as clip:
        coded = read_packets(clip)
        if reencode is None and clip.info.codec not in EXPORTING:
            if without == "skip":
                seen = _Seen(kinds=["I"] * len(coded.packets), counts=[0] * len(coded.packets))
                seen.damaged, seen.numbers = [False] * len(seen.kinds), list(range(len(seen.kinds)))
                times = [index / (clip.info.fps or 1.0) for index in seen.numbers]
                return _vectors(clip.info, False, seen, times, _references("", seen, [], None))
            reencode = without
        return _own(clip, coded, count_b) if reencode is None else _encoded(clip, coded, reencode)


def _own(clip: Opened, coded: Coded, count_b: bool) -> Vectors | None:
    codec, counted = clip.info.codec, None
    if count_b and codec == "mpeg4" and not coded.hides and coded.regular:
        counted = mpeg4.kinds(map(bytes, coded.packets))
    seen = _see(clip, clip.decoder, coded.packets, codec, "NONREF" if counted else "DEFAULT")
    if seen.interlaced and (codec == "h264" or (codec == "mpeg2video" and mpeg2.has_fields(coded.packets))):
        return _encoded(clip, coded, AUTO)
    seen.lost += coded.lost
    if seen.interlaced and codec == "mpeg4":
        _halve_fields(seen.blocks.all())
    if counted and not _insert_b(seen, counted):
        return None
    times = times_of(clip, coded, None if counted else seen.numbers, len(seen.kinds))
    return _vectors(clip.info, False, seen, times, _references(codec, seen, coded.packets, clip.decoder.extradata))


def _halve_fields(blocks: np.ndarray) -> None:
    """Bring the vectors of MPEG-4's field blocks to the height of the frame.

    Only blocks predicted by fields are 16 wide and 8 high there. libavcodec counts their motion in lines of the frame
    already, and doubles it once more for export.
    """
    fields = (blocks["w"] == 16) & (blocks["h"] == 8)
    blocks["motion_y"][fields] //= 2
    down = blocks["src_y"][fields] - blocks["dst_y"][fields]
    blocks["src_y"][fields] = blocks["dst_y"][fields] + down // 2


def _encoded(clip: Opened, coded: Coded, reencode: Reencode) -> Vectors:
    made = reencoded(clip, coded, reencode)
    seen = _see(clip, made.decoder, made.packets, reencode.codec, damaged=made.damaged)
    seen.lost, seen.interlaced = coded.lost + made.lost, made.interlaced
    width, height = made.decoder.width, made.decoder.height
    head = replace(clip.info, width=width, height=height, pixel_aspect=made.pixel_aspect)
    times = times_of(clip, coded, made.numbers, len(seen.kinds))
    references = _references(reencode.codec, seen, made.packets, made.decoder.extradata)
    return _vectors(head, True, seen, times, references)


def _vectors(
    head: Info, again: bool, seen: _Seen, times: Sequence[float], references: tuple[np.ndarray, np.ndarray]
) -> Vectors:
    return Vectors(
        replace(head, fps=_mean_rate(head.fps, times)),
        again,
        seen.interlaced,
        seen.orientation,
        seen.kinds,
        *references,
        np.array(seen.damaged, dtype=bool),
        seen.lost,
        np.array(times),
        np.array(seen.counts, dtype=np.int64),
        seen.blocks.all(),
    )


def _mean_rate(rate: float, times: Sequence[float]) -> float:
    """Frames per second: as the container says, unless it counts fields or empty chunks."""
    intervals = len(times) - 1
    if intervals > 0 and rate * times[-1] > 1.5 * intervals:
        return intervals / times[-1]
    return rate


def _references(
    codec: str, seen: _Seen, packets: "Sequence[Packet[VideoStream]]", extradata: bytes | None
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors.order and Vectors.reference."""
    if codec == "h264":
        order = np.argsort(np.argsort(seen.numbers, kind="stable"))
        said = [h264.is_reference(bytes(packets[number]), extradata) for number in seen.numbers]
        return order, np.array(said, dtype=bool)
    return np.array(mpeg4.coded_order(seen.kinds)), np.array([kind != "B" for kind in seen.kinds])


def _see(
    clip: Opened,
    decoder: VideoCodecContext,
    packets: "Sequence[Packet[VideoStream]]",
    codec: str,
    skip: Literal["DEFAULT", "NONREF"] = "DEFAULT",
    damaged: Sequence[bool] = (),
) -> _Seen:
    """Decode all packets; vectors of damaged frames are left out, and of B-frames that say nothing.

    damaged tells of frames that were so before they were encoded. H.264 coded as fields is not decoded any further.
    """
    set_up(decoder, {**_EXPORT, "max_pixels": str(clip.limits.pixels)}, skip)
    seen, most = _Seen(), clip.limits.memory << 20
    for frame in of_one_size(clip.path, decoded(decoder, packets)):
        if frame is None:
            seen.lost += 1
            continue
        if frame.interlaced_frame:
            seen.interlaced = True
            if codec == "h264":
                break
        place, kind = len(seen.kinds), kind_of(frame)
        seen.orientation = seen.orientation if place else orientation_of(frame)
        spoilt = frame.is_corrupt or (place < len(damaged) and damaged[place])
        says = not spoilt and (kind != "B" or codec in _B_VECTORS)
        seen.kinds.append(kind)
        seen.numbers.append(frame.pts)
        seen.damaged.append(spoilt)
        seen.counts.append(seen.blocks.add(_exported(frame)) if says else 0)
        if seen.blocks.size + len(seen.kinds) * frame.width * frame.height // _PIXELS_A_BYTE > most:
            raise beyond(clip, len(seen.kinds))
    return seen


class _Blocks:
    """BLOCKs in memory that grows: a copy of the exported vectors, straight from the frame's own memory."""

    def __init__(self) -> None:
        self._words, self.count = np.empty((1 << 14, BLOCK.itemsize // 8), dtype=np.int64), 0

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._words.nbytes

    def add(self, exported: np.ndarray) -> int:
        """Append EXPORTED vectors; returns how many."""
        start, self.count = self.count, self.count + len(exported)
        if self.count > len(self._words):
            # In place, where the system can: a copy would need the memory twice.
            self._words.resize((max(self.count, len(self._words) * 3 // 2), self._words.shape[1]), refcheck=False)
        words, new = exported.view(np.int64).reshape(-1, EXPORTED.itemsize // 8), self._words[start : self.count]
        new[:, :2], new[:, 2] = words[:, :2], words[:, 3]
        new.view(BLOCK)["motion_scale"][:, 0] = exported["motion_scale"]
        return len(exported)

    def all(self) -> np.ndarray:
        """BLOCK [V]"""
        return self._words[: self.count].view(BLOCK)[:, 0]


def _insert_b(seen: _Seen, kinds: str) -> bool:
    """Put the B-frames that were not decoded into their places; False where the rest is not as it should be."""
    if seen.lost or any(seen.damaged) or seen.kinds != [kind for kind in kinds if kind != "B"]:
        return False
    counts = iter(seen.counts)
    seen.kinds, seen.damaged = list(kinds), [False] * len(kinds)
    seen.counts = [0 if kind == "B" else next(counts) for kind in kinds]
    return True


def _exported(frame: av.VideoFrame) -> np.ndarray:
    """EXPORTED [V], a view into the frame."""
    # Not frame.side_data, which makes a circle of references: the decoder would wait for Python's collector to get its
    # pictures back, allocate new ones, and take half as long again.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)
