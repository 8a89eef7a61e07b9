"""Reading videos: motion vectors and keyframes. The only module that imports av."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.spans import middles

KINDS = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B", PictureType.S: "P"}

# Neither changes a vector; both save the work of pixels that nobody looks at.
_NO_PIXELS = {"skip_loop_filter": "all", "skip_idct": "all"}


@dataclass(frozen=True)
class Info:
    """What a container says of its first video stream."""

    codec: str
    width: int  # pixels
    height: int  # pixels
    fps: float  # frames per second, 0 where unknown


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the start
    image: np.ndarray  # uint8 [height, width, 3], RGB


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
    for frame in _frames(path, {"flags2": "+export_mvs", **_NO_PIXELS}):
        side = frame.side_data.get("MOTION_VECTORS")
        yield _kind(frame), NO_VECTORS if side is None else side.to_ndarray()


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
            found[index] = Keyframe(index, index / fps, frame.to_ndarray(format="rgb24"))
        if len(found) == len(set(wanted)):
            break
    return [found[index] for index in wanted]


NO_VECTORS = np.zeros(
    0,
    dtype=np.dtype(
        {
            "names": [
                *("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y"),
                *("flags", "motion_x", "motion_y", "motion_scale"),
            ],
            "formats": ["i4", "u1", "u1", "i2", "i2", "i2", "i2", "u8", "i4", "i4", "u2"],
            "offsets": [0, 4, 5, 6, 8, 10, 12, 16, 24, 28, 32],
            "itemsize": 40,
        }
    ),
)


def _kind(frame: av.VideoFrame) -> str:
    return KINDS.get(PictureType(frame.pict_type), "I")


def _info(stream: VideoStream) -> Info:
    context = stream.codec_context
    rate = stream.average_rate or Fraction(0)
    # Not the decoder's name, which is libdav1d for AV1.
    return Info(context.codec.canonical_name, context.width, context.height, float(rate))


def _frames(path: str | Path, options: dict[str, str]) -> Iterator[av.VideoFrame]:
    with _video(path) as (container, stream):
        context = stream.codec_context
        # Frame threads make the vectors of B-frames differ from run to run; clips are decoded side by side instead.
        context.thread_type = "NONE"
        context.options = options
        size = None
        for frame in container.decode(stream):
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise UserError(
                    f"{path} changes from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels on the way; "
                    "encode it again at one size or remove it."
                )
            yield frame


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
