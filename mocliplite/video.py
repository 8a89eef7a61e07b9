"""Reading videos: motion vectors and keyframes. The only module that imports av."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mocliplite import bitstream
from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.spans import middles

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
# What a field is made of, without padding: a long clip of a large picture has hundreds of millions of vectors.
BLOCK = np.dtype(
    [
        *((name, "u1") for name in ("w", "h", "motion_scale")),
        ("source", "i1"),
        *((name, "i2") for name in ("src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y")),
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
_BATCH = 64  # frames whose vectors are brought into BLOCKs at once, while they are in the processor's cache


@dataclass(frozen=True)
class Info:
    """What a container says of its first video stream."""

    codec: str
    width: int  # pixels, as coded
    height: int  # pixels, as coded
    fps: float  # frames per second, 0 where unknown


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the start
    image: np.ndarray  # uint8 [height, width, 3], RGB, upright


@dataclass
class _Seen:
    """What decoding met, frame by frame in display order."""

    turns: int = 0
    kinds: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of the packet that each frame came in
    damaged: list[bool] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    blocks: list[np.ndarray] = field(default_factory=list)
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
            yield _kind(frame), np.frombuffer(bytearray(_exported(frame)), EXPORTED)


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
    blocks = np.concatenate([np.zeros(0, BLOCK), *seen.blocks])
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
    held: list[bytes] = []

    def collect() -> None:
        exported = np.frombuffer(b"".join(held), EXPORTED)
        blocks = np.empty(len(exported), BLOCK)
        for name in BLOCK.fields or ():
            blocks[name] = exported[name]
        seen.blocks.append(blocks)
        seen.counts += [len(vectors) // EXPORTED.itemsize for vectors in held]
        held.clear()

    for frame in _of_one_size(path, _decoded(decoder, packets)):
        if frame is None:
            seen.lost += 1
            continue
        seen.turns = seen.turns if seen.kinds else _turns(frame)
        kind = _kind(frame)
        seen.kinds.append(kind)
        seen.numbers.append(frame.pts)
        seen.damaged.append(frame.is_corrupt)
        held.append(b"" if frame.is_corrupt or (kind == "B" and not from_b) else _exported(frame))
        if len(held) == _BATCH:
            collect()
    collect()
    return seen


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


def keyframes(path: str | Path, count: int, pick: str) -> list[Keyframe]:
    """The frames in the middle of `count` equal spans of the clip, or with pick "key" the I-frames nearest to them.

    Raises UserError for a file that cannot be read or decoded, or has fewer frames than asked for.
    """
    kinds = [_kind(frame) for frame in _frames(path, _NO_PIXELS)]
    if not kinds:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    wanted = middles(len(kinds), count)
    if len(kinds) < count:
        raise UserError(f"{path} has {len(kinds)} frames, clip.frames asks for {count}; lower it or remove the clip.")
    if pick == "key":
        intra = [index for index, kind in enumerate(kinds) if kind == "I"]
        if not intra:
            raise UserError(f"{path} has no I-frame to take; set clip.pick to middle.")
        wanted = [min(intra, key=lambda index: abs(index - middle)) for middle in wanted]

    found: dict[int, Keyframe] = {}
    with _video(path) as (_, stream):
        fps = _info(stream).fps or 1.0
    for index, frame in enumerate(_frames(path, {})):
        if index in wanted:
            # Not the container's time stamps: AVI has none, and guesses of them go back and forth at B-frames.
            image = np.rot90(frame.to_ndarray(format="rgb24"), _turns(frame))
            found[index] = Keyframe(index, index / fps, np.ascontiguousarray(image))
        if len(found) == len(set(wanted)):
            break
    return [found[index] for index in wanted]


def _frames(path: str | Path, options: dict[str, str]) -> Iterator[av.VideoFrame]:
    with _video(path) as (container, stream):
        _set_up(stream.codec_context, options)
        yield from _of_one_size(path, container.decode(stream))


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


def _exported(frame: av.VideoFrame) -> bytes:
    side = frame.side_data.get("MOTION_VECTORS")
    return b"" if side is None else bytes(side)


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


def decoders() -> tuple[str, list[str]]:
    """libavcodec's version, and which of the codecs with vectors it cannot decode."""
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return version, [name for name in ("h264", "mpeg4") if name not in av.codecs_available]
