"""Motion vectors of a clip as libavcodec exports them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import bitstream
from mocliplite.video.reencode import reencoded
from mocliplite.video.streams import (
    NO_PIXELS,
    Info,
    decode,
    info_of,
    kind_of,
    open_video,
    packet_times,
    quarter_turns,
    read_packets,
    refuse_size_change,
    set_up,
)

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
_EXPORT = {"flags2": "+export_mvs", **NO_PIXELS}


@dataclass
class _Seen:
    """What decoding met, frame by frame in display order."""

    quarter_turns: int = 0
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
    quarter_turns: int  # quarter turns counterclockwise by which a player shows the picture upright
    kinds: list[str]  # "I", "P" or "B"
    order: np.ndarray  # int64 [T], each frame's place in the order of decoding
    reference: np.ndarray  # bool [T], whether other frames may refer to it
    damaged: np.ndarray  # bool [T], whether the decoder made up a part of the frame; such a frame has no blocks
    lost: int  # frames that are in the file, or should be by its header, and do not decode
    time: np.ndarray  # float64 [T], seconds from the first frame
    counts: np.ndarray  # int64 [T], blocks of each frame
    blocks: np.ndarray  # BLOCK [sum of counts]


def motion_vectors(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, vectors) for each frame, in display order.

    kind is "I", "P" or "B". vectors is a structured array with FFmpeg's field names (AVMotionVector: source, w, h,
    src_x, src_y, dst_x, dst_y, flags, motion_x, motion_y, motion_scale), empty for a frame without any.
    Raises UserError for a file that cannot be read or decoded.
    """
    with open_video(path) as (container, stream):
        set_up(stream.codec_context, _EXPORT)
        for frame in refuse_size_change(path, container.decode(stream)):
            yield kind_of(frame), exported_vectors(frame).copy()


def read_vectors(path: str | Path, reencode: Reencode | None = None) -> Vectors:
    """All vectors of a clip at once: of the clip itself, or of what `reencode` makes of it in memory.

    The zeros that libavcodec exports for B-frames of MPEG-4 Part 2 are left out. Raises UserError for a file that
    cannot be read, has no frame that decodes, or changes its size.
    """
    found = _read(path, reencode, count_b=True) or _read(path, reencode, count_b=False)
    if found is None or not found.kinds:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    return found


def _read(path: str | Path, reencode: Reencode | None, count_b: bool) -> Vectors | None:
    """read_vectors; with count_b the B-frames of MPEG-4, which say nothing, are counted and not decoded.

    None where the count and the decoder disagree.
    """
    with open_video(path) as (container, stream):
        head, decoder = info_of(stream), stream.codec_context
        packets, lost = read_packets(container, stream)
        times = packet_times(packets, container.format.name)
        if reencode is not None:
            decoder, packets, more = reencoded(path, decoder, packets, reencode)
            head = replace(head, width=decoder.width, height=decoder.height)
            lost += more
        codec = reencode.codec if reencode else head.codec
        counted = bitstream.mpeg4_kinds(map(bytes, packets)) if count_b and codec == "mpeg4" else None
        set_up(decoder, _EXPORT, "NONREF" if counted else "DEFAULT")
        seen = _see(path, decoder, packets, codec in _B_VECTORS)
        extradata = decoder.extradata
    if counted and not _insert_b(seen, counted):
        return None
    order, reference = np.array(bitstream.coded_order(seen.kinds)), np.array([kind != "B" for kind in seen.kinds])
    if codec == "h264":
        order = np.argsort(np.argsort(seen.numbers, kind="stable"))
        reference = np.array([bitstream.h264_reference(bytes(packets[n]), extradata) for n in seen.numbers], dtype=bool)
    blocks = seen.blocks.all()
    count = len(seen.kinds)
    time = np.array(times) if len(times) == count else np.arange(count) / (head.fps or 1)
    damaged, counts = np.array(seen.damaged, dtype=bool), np.array(seen.counts, dtype=np.int64)
    return Vectors(
        head,
        reencode is not None,
        seen.quarter_turns,
        seen.kinds,
        order,
        reference,
        damaged,
        lost + seen.lost,
        time,
        counts,
        blocks,
    )


def _see(path: str | Path, decoder: VideoCodecContext, packets: Sequence["Packet[VideoStream]"], from_b: bool) -> _Seen:
    """Decode all packets; vectors of B-frames are kept with from_b, those of damaged frames never."""
    seen = _Seen()
    for frame in refuse_size_change(path, decode(decoder, packets)):
        if frame is None:
            seen.lost += 1
            continue
        seen.quarter_turns = seen.quarter_turns if seen.kinds else quarter_turns(frame)
        kind = kind_of(frame)
        seen.kinds.append(kind)
        seen.numbers.append(frame.pts)
        seen.damaged.append(frame.is_corrupt)
        says = not frame.is_corrupt and (kind != "B" or from_b)
        seen.counts.append(seen.blocks.add(exported_vectors(frame)) if says else 0)
    return seen


class _Blocks:
    """BLOCKs in memory that grows: a copy of the exported vectors, straight from the frame's own memory."""

    def __init__(self) -> None:
        self._words, self._count = np.empty((1 << 14, BLOCK.itemsize // 8), dtype=np.int64), 0

    def add(self, exported: np.ndarray) -> int:
        """Append EXPORTED vectors; returns how many."""
        start, self._count = self._count, self._count + len(exported)
        if self._count > len(self._words):
            more = np.empty((max(self._count, 2 * len(self._words)), self._words.shape[1]), dtype=np.int64)
            more[:start] = self._words[:start]
            self._words = more
        words, new = exported.view(np.int64).reshape(-1, EXPORTED.itemsize // 8), self._words[start : self._count]
        new[:, :2], new[:, 2] = words[:, :2], words[:, 3]
        new.view(BLOCK)["motion_scale"][:, 0] = exported["motion_scale"]
        return len(exported)

    def all(self) -> np.ndarray:
        """BLOCK [V]"""
        return self._words[: self._count].view(BLOCK)[:, 0]


def _insert_b(seen: _Seen, kinds: str) -> bool:
    """Put the B-frames that were not decoded into their places; False where the rest is not as it should be."""
    if seen.lost or any(seen.damaged) or seen.kinds != [kind for kind in kinds if kind != "B"]:
        return False
    counts = iter(seen.counts)
    seen.kinds, seen.damaged = list(kinds), [False] * len(kinds)
    seen.counts = [0 if kind == "B" else next(counts) for kind in kinds]
    return True


def exported_vectors(frame: av.VideoFrame) -> np.ndarray:
    """EXPORTED [V], a view into the frame."""
    # Not frame.side_data, which makes a circle of references: the decoder would wait for Python's collector to get its
    # pictures back, allocate new ones, and take half as long again.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)
