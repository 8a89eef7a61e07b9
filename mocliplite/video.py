"""Reading videos: motion vectors and keyframes. The only module that imports av."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mocliplite import bitstream
from mocliplite.errors import UserError
from mocliplite.params import Reencode

Skip = Literal["DEFAULT", "NONREF"]
Frame = TypeVar("Frame", av.VideoFrame, av.VideoFrame | None)

KINDS = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B", PictureType.S: "P"}

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

# Neither changes a vector; both save the work of pixels that nobody looks at.
_NO_PIXELS = {"skip_loop_filter": "all", "skip_idct": "all"}
_EXPORT = {"flags2": "+export_mvs", **_NO_PIXELS}
_ENCODERS = {"mpeg4": "mpeg4", "h264": "libx264"}
_BEST = 118  # libavcodec's FF_QP2LAMBDA, for a quantiser of 1


@dataclass(frozen=True)
class Info:
    """What a container says of its first video stream."""

    codec: str
    width: int  # pixels, as coded
    height: int  # pixels, as coded
    fps: float  # frames per second, 0 where unknown


@dataclass
class _Seen:
    """What decoding met, frame by frame in display order."""

    turns: int = 0
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
    turns: int  # quarter turns counterclockwise by which a player shows the picture upright
    kinds: list[str]  # "I", "P" or "B"
    order: np.ndarray  # int64 [T], each frame's place in the order of decoding
    reference: np.ndarray  # bool [T], whether other frames may refer to it
    damaged: np.ndarray  # bool [T], whether the decoder made up a part of the frame; such a frame has no blocks
    lost: int  # frames that are in the file, or should be by its header, and do not decode
    time: np.ndarray  # float64 [T], seconds from the first frame
    counts: np.ndarray  # int64 [T], blocks of each frame
    blocks: np.ndarray  # BLOCK [sum of counts]


def info(path: str | Path) -> Info:
    """Codec, size and rate. Raises UserError for a file without a readable video stream."""
    with _video(path) as (_, stream):
        return _info(stream)


def motion_vectors(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, vectors) for each frame, in display order.

    kind is "I", "P" or "B". vectors is a structured array with FFmpeg's field names (AVMotionVector: source, w, h,
    src_x, src_y, dst_x, dst_y, flags, motion_x, motion_y, motion_scale), empty for a frame without any.
    Raises UserError for a file that cannot be read or decoded.
    """
    with _video(path) as (container, stream):
        _set_up(stream.codec_context, _EXPORT)
        for frame in _of_one_size(path, container.decode(stream)):
            yield _kind(frame), _exported(frame).copy()


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
    with _video(path) as (container, stream):
        head, decoder = _info(stream), stream.codec_context
        packets, lost = _packets(container, stream)
        times = _times(packets, container.format.name)
        if reencode is not None:
            decoder, packets, more = _reencoded(path, decoder, packets, reencode)
            head = replace(head, width=decoder.width, height=decoder.height)
            lost += more
        codec = reencode.codec if reencode else head.codec
        counted = bitstream.mpeg4_kinds(map(bytes, packets)) if count_b and codec == "mpeg4" else None
        _set_up(decoder, _EXPORT, "NONREF" if counted else "DEFAULT")
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
        seen.turns,
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
    for frame in _of_one_size(path, _decoded(decoder, packets)):
        if frame is None:
            seen.lost += 1
            continue
        seen.turns = seen.turns if seen.kinds else _turns(frame)
        kind = _kind(frame)
        seen.kinds.append(kind)
        seen.numbers.append(frame.pts)
        seen.damaged.append(frame.is_corrupt)
        says = not frame.is_corrupt and (kind != "B" or from_b)
        seen.counts.append(seen.blocks.add(_exported(frame)) if says else 0)
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


def _reencoded(
    path: str | Path, decoder: VideoCodecContext, packets: Sequence["Packet[VideoStream]"], wanted: Reencode
) -> tuple[VideoCodecContext, list["Packet[VideoStream]"], int]:
    """A decoder and packets of the clip encoded anew, upright and at the size wanted, and how many frames were lost.

    Quality is the highest of MPEG-4 (`-q:v 1`), as in CoViAR's recipe, or CRF 18 of x264 with one reference and no
    B-frame as reference, so that every distance is known.
    """
    _set_up(decoder, {})
    encoder, scale, coded, lost = None, VideoReformatter(), [], 0
    frames = _decoded(decoder, packets)
    for index, frame in enumerate(frames if wanted.size else _of_one_size(path, frames)):
        if frame is None:
            lost += 1
            continue
        if _turns(frame):
            upright = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), _turns(frame)))
            frame = av.VideoFrame.from_ndarray(upright, format="rgb24")
        encoder = encoder or _encoder(wanted, wanted.size or (frame.width, frame.height))
        frame = scale.reformat(frame, encoder.width, encoder.height, "yuv420p", interpolation="BICUBIC")
        frame.pts, frame.time_base = index, encoder.time_base
        frame.pict_type = PictureType.NONE
        coded += encoder.encode(frame)
    if encoder is None:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    again = av.CodecContext.create(wanted.codec, "r")
    coded += encoder.encode(None)
    again.extradata = encoder.extradata
    again.width, again.height = encoder.width, encoder.height
    return again, coded, lost


def _encoder(wanted: Reencode, size: tuple[int, ...]) -> VideoCodecContext:
    encoder = av.CodecContext.create(_ENCODERS[wanted.codec], "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = wanted.gop, wanted.bframes, 1
    if wanted.codec == "mpeg4":
        encoder.qscale, encoder.global_quality = True, _BEST
    else:
        encoder.options = {"crf": "18", "x264-params": "b-adapt=0:b-pyramid=none:ref=1:weightp=0:weightb=0"}
    return encoder


def _packets(container: InputContainer, stream: VideoStream) -> tuple[list["Packet[VideoStream]"], int]:
    """All packets of a stream that hold something, and how many the header promises besides."""
    packets: list[Packet[VideoStream]] = []
    empty = 0
    try:
        for packet in container.demux(stream):
            # Empty ones stand for a frame shown twice; to a decoder they would be the end.
            if packet.size:
                packets.append(packet)
            elif packet.dts is not None:
                empty += 1
    except av.FFmpegError:
        return packets, max(1, stream.frames - len(packets) - empty)
    return packets, max(0, stream.frames - len(packets) - empty)


def _times(packets: Sequence["Packet[VideoStream]"], container: str) -> list[float]:
    """Seconds from the first frame, of each packet in display order; empty where the container does not tell."""
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
    if container == "avi" or len(set(stamps)) < len(packets):
        return []
    return [float((stamp - stamps[0]) * packets[0].time_base) for stamp in stamps]


def _decoded(decoder: VideoCodecContext, packets: Iterable["Packet[VideoStream]"]) -> Iterator[av.VideoFrame | None]:
    """Frames in display order, and None for each packet that does not decode; a frame's pts is its packet's number."""
    for number, packet in enumerate([*packets, None]):
        if packet is not None:
            packet.pts = packet.dts = number
        try:
            yield from decoder.decode(packet)
        except av.FFmpegError:
            yield None


def _of_one_size(path: str | Path, frames: Iterable[Frame]) -> Iterator[Frame]:
    size = None
    for frame in frames:
        if frame is not None:
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise UserError(
                    f"{path} changes from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels on the way; "
                    "encode it again at one size or remove it."
                )
        yield frame


def _set_up(decoder: VideoCodecContext, options: dict[str, str], skip: Skip = "DEFAULT") -> None:
    # Frame threads make the vectors of B-frames differ from run to run; clips are decoded side by side instead.
    decoder.thread_type, decoder.skip_frame = "NONE", skip
    decoder.options = options


def _exported(frame: av.VideoFrame) -> np.ndarray:
    """EXPORTED [V], a view into the frame."""
    # Not frame.side_data, which makes a circle of references: the decoder would wait for Python's collector to get its
    # pictures back, allocate new ones, and take half as long again.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)


def _kind(frame: av.VideoFrame) -> str:
    return KINDS.get(PictureType(frame.pict_type), "I")


def _turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _info(stream: VideoStream) -> Info:
    context = stream.codec_context
    rate = stream.average_rate or Fraction(0)
    # Not the decoder's name, which is libdav1d for AV1.
    return Info(context.codec.canonical_name, context.width, context.height, float(rate))


@contextmanager
def _video(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not Path(path).is_file():
        raise UserError(f"{path} is not a file; check the path.")
    try:
        # A broken name in the metadata is no reason to refuse the clip. "file:", for FFmpeg takes what stands before a
        # colon for a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            if not container.streams.video:
                raise UserError(f"{path} has no video stream; remove it or replace it by a video.")
            if container.streams.video[0].codec_context is None:
                raise UserError(
                    f"{path} is in a codec that FFmpeg cannot decode here; encode it again as H.264 or MPEG-4."
                )
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path} cannot be decoded as video ({reason}); replace or remove it.") from None


def pictures(path: str | Path, wanted: Collection[int]) -> dict[int, np.ndarray]:
    """Some frames of a clip by index in display order: uint8 [height, width, 3], RGB, upright.

    Only what leads to them is decoded: from the last key frame before to the last one wanted, where the container tells
    the frames' times. Frames that are not there, or damaged, are left out. Raises UserError for a file that cannot be
    read.
    """
    with _video(path) as (container, stream):
        packets, _ = _packets(container, stream)
        timed, decoder = bool(_times(packets, container.format.name)), stream.codec_context
        _set_up(decoder, {})
        if not timed:
            frames = (frame for frame in _decoded(decoder, packets) if frame is not None)
            last = max(wanted, default=-1) + 1
            shown = enumerate(islice(frames, last))
            return {index: _rgb(frame) for index, frame in shown if index in wanted and not frame.is_corrupt}
        # The numbers of packets in order of display, and the packets at which decoding may begin.
        order = sorted(range(len(packets)), key=lambda number: packets[number].pts or 0)
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        place = {order[index]: index for index in wanted if index < len(order)}
        start = max((key for key in keys if key <= min(place, default=0)), default=0)
        found = {}
        for frame in _decoded(decoder, packets[start : max(place, default=-1) + 1]):
            if frame is not None and not frame.is_corrupt and start + frame.pts in place:
                found[place[start + frame.pts]] = _rgb(frame)
        return found


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), _turns(frame)))


def kinds(path: str | Path) -> list[str]:
    """Kinds of a clip's frames in display order, I, P and B; where the file does not tell, it is decoded."""
    with _video(path) as (container, stream):
        packets, _ = _packets(container, stream)
        codec, decoder = stream.codec_context.codec.canonical_name, stream.codec_context
        counted = bitstream.mpeg4_kinds(map(bytes, packets)) if codec == "mpeg4" else None
        if counted is not None:
            return list(counted)
        _set_up(decoder, _NO_PIXELS)
        return [_kind(frame) for frame in _of_one_size(path, _decoded(decoder, packets)) if frame is not None]


def decoders() -> tuple[str, list[str]]:
    """libavcodec's version, and which of the codecs with vectors it cannot decode."""
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return version, [name for name in ("h264", "mpeg4") if name not in av.codecs_available]
