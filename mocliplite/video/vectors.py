"""Motion vectors of a clip, or of the clip re-encoded in memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import mpeg2, mpeg4
from mocliplite.video.blocks import exported_vectors
from mocliplite.video.decoding import (
    EXPORT_VECTORS,
    Decoding,
    Frame,
    UnexpectedFrameError,
    UnusableVectorsError,
    decode_frames,
)
from mocliplite.video.frames import configure_decoder, frame_times, frame_type, require_one_size
from mocliplite.video.orientation import PLAIN, Orientation
from mocliplite.video.packets import CodedStream, limit_error, read_packets
from mocliplite.video.reencode import SourceFrames, reencode_clip
from mocliplite.video.streams import DEFAULT_LIMITS, Info, Limits, OpenClip, open_clip

# Codecs with vectors exported by libavcodec and with sign and scale verified by tests.
EXPORTING = ("h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
# Settings for clips without vectors, and for interlaced clips without usable vectors.
AUTO = Reencode(codec="mpeg4", gop=12, bframes=0, size=None)

Result = TypeVar("Result")


@dataclass(frozen=True)
class FrameStream:
    """The frames of a clip in display order, decoded one at a time."""

    path: str | Path
    limits: Limits
    width: int  # pixels, as coded, after re-encoding
    height: int
    orientation: Orientation  # of the pictures that the vectors belong to
    packets: int  # of the clip, about as many as frames
    packet_size: int  # bytes of all packets, which are in memory
    frames: Iterator[Frame]

    def check_memory(self, size: int, frames: int) -> None:
        """Raise LimitError if the packets and so many bytes, after so many frames, exceed compute.max_memory."""
        if self.packet_size + size > self.limits.memory << 20:
            raise limit_error(self.path, self.limits, frames)


Consumer = Callable[[FrameStream], Result]


@dataclass(frozen=True)
class ClipFrames:
    """The T frames of a clip, in display order, without their vectors."""

    info: Info  # width and height are those of the re-encoded clip, if the clip was re-encoded
    reencoded: bool
    interlaced: bool  # whether any picture of the clip is coded as fields
    orientation: Orientation
    frame_types: list[str]  # "I", "P" or "B" each
    damaged: list[int]  # indices of frames of which the decoder concealed a part; they have no blocks
    lost: list[int]  # the number of frames before each packet that cannot be decoded, or frame cut off at the end
    time: np.ndarray  # float64 [T], seconds from the first frame
    vectors: int  # number of blocks of all frames

    def part(self, frames: range) -> "ClipFrames":
        """Return some consecutive frames, as if the clip had no others; `vectors` remains that of the clip.

        What is lost between two frames is lost in the part with the second of them, and what is lost at the end of the
        file in the part that reaches it.
        """
        first, last = frames.start, frames.stop
        return replace(
            self,
            frame_types=self.frame_types[first:last],
            damaged=[index - first for index in self.damaged if index in frames],
            lost=[index - first for index in self.lost if index in frames or index == last == len(self.frame_types)],
            time=self.time[first:last] - self.time[first],
        )


def motion_vectors(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, vectors) for each frame, in display order.

    kind is "I", "P" or "B". vectors is a structured array with FFmpeg's field names (AVMotionVector: source, w, h,
    src_x, src_y, dst_x, dst_y, flags, motion_x, motion_y, motion_scale), empty for a frame without vectors.
    Raises UserError for a file that cannot be read or decoded.
    """
    with open_clip(path, limits) as clip:
        configure_decoder(clip.decoder, EXPORT_VECTORS)
        for frame in require_one_size(path, clip.container.decode(clip.stream)):
            if frame is not None:
                yield frame_type(frame), exported_vectors(frame).copy()


def read_vectors(
    path: str | Path,
    consumer: Consumer[Result],
    reencode: Reencode | None = None,
    limits: Limits = DEFAULT_LIMITS,
    fallback: Reencode | Literal["skip"] | None = None,
) -> tuple[ClipFrames, Result]:
    """Decode a clip, or the clip re-encoded in memory with the settings `reencode`, and return what consumer returns.

    consumer: a function that reads all frames of a stream. No vectors are stored, so that the memory needed here does
    not grow with their number. If decoding shows that the clip has to be read in another way, the consumer is called
    again with another stream, and the exception that ends the first stream must leave it.

    An interlaced H.264 clip is always re-encoded, because libavcodec does not tell vectors of fields from those
    of frames.
    The zeros that libavcodec exports for B-frames of MPEG-4 Part 2 are left out.

    fallback: for codecs that export no vectors, the settings to re-encode with; "skip" to return one frame per packet
    without decoding, after a stream without frames; None to decode anyway. Raises UserError for a file that cannot be
    read, has no frame that can be decoded, or changes its size.
    """
    try:
        clip, result = _read(path, consumer, reencode, limits, fallback, skip_b_frames=True)
    except UnexpectedFrameError:
        clip, result = _read(path, consumer, reencode, limits, fallback, skip_b_frames=False)
    if not clip.frame_types:
        raise UserError(f"{path} has no frame that can be decoded; replace or remove it.")
    return clip, result


def read_frames(path: str | Path, reencode: Reencode | None = None, limits: Limits = DEFAULT_LIMITS) -> ClipFrames:
    """Return the frames of a clip as read_vectors does, without vectors."""
    return read_vectors(path, lambda stream: deque(stream.frames, maxlen=0), reencode, limits)[0]


def _read(
    path: str | Path,
    consumer: Consumer[Result],
    reencode: Reencode | None,
    limits: Limits,
    fallback: Reencode | Literal["skip"] | None,
    skip_b_frames: bool,
) -> tuple[ClipFrames, Result]:
    """Return read_vectors. Raises UnexpectedFrameError only if skip_b_frames is set.

    skip_b_frames: do not decode B-frames of MPEG-4 Part 2, which have no vectors; their number is read from headers.
    """
    with open_clip(path, limits) as clip:
        coded = read_packets(clip)
        if reencode is None and clip.info.codec not in EXPORTING:
            if fallback == "skip":
                return _without_decoding(clip, coded, consumer)
            reencode = fallback
        if reencode is None:
            try:
                return _read_own(clip, coded, consumer, skip_b_frames)
            except UnusableVectorsError:
                reencode = AUTO
        return _read_reencoded(clip, coded, consumer, reencode)


def _without_decoding(clip: OpenClip, coded: CodedStream, consumer: Consumer[Result]) -> tuple[ClipFrames, Result]:
    count, info = len(coded.packets), clip.info
    times = np.arange(count) / (info.fps or 1.0)
    empty = FrameStream(clip.path, clip.limits, info.width, info.height, PLAIN, count, coded.size, iter(()))
    return ClipFrames(info, False, False, PLAIN, ["I"] * count, [], [], times, 0), consumer(empty)


def _read_own(
    clip: OpenClip, coded: CodedStream, consumer: Consumer[Result], skip_b_frames: bool
) -> tuple[ClipFrames, Result]:
    codec, expected = clip.info.codec, None
    regular = not coded.lost and not coded.has_hidden_frames and coded.is_evenly_spaced
    if skip_b_frames and codec == "mpeg4" and regular:
        expected = mpeg4.frame_types(mpeg4.read_pictures(map(bytes, coded.packets))) or None

    def has_unusable_vectors() -> bool:
        return codec == "h264" or (codec == "mpeg2video" and mpeg2.has_fields(coded.packets))

    decoding = Decoding(clip, clip.info, codec, clip.decoder, coded.packets, expected, (), has_unusable_vectors)
    result = _consumed(decoding, coded, consumer)
    decoding.lost += [len(decoding.frame_types)] * coded.lost
    packet_numbers = None if expected else decoding.packet_numbers
    times = frame_times(clip, coded, packet_numbers, len(decoding.frame_types))
    return _clip_frames(decoding, False, times), result


def _read_reencoded(
    clip: OpenClip, coded: CodedStream, consumer: Consumer[Result], reencode: Reencode
) -> tuple[ClipFrames, Result]:
    new = reencode_clip(clip, coded.packets, reencode, SourceFrames())
    info = replace(clip.info, width=new.decoder.width, height=new.decoder.height, pixel_aspect=new.pixel_aspect)
    decoding = Decoding(clip, info, reencode.codec, new.decoder, new.packets, damaged_before=new.source.damaged)
    result = _consumed(decoding, coded, consumer)
    decoding.lost = [*new.source.lost, *[len(decoding.frame_types)] * coded.lost]
    decoding.interlaced = new.source.interlaced
    times = frame_times(clip, coded, new.source.packet_numbers, len(decoding.frame_types))
    return _clip_frames(decoding, True, times), result


def _clip_frames(decoding: Decoding, reencoded: bool, times: Sequence[float]) -> ClipFrames:
    return ClipFrames(
        replace(decoding.info, fps=_mean_rate(decoding.info.fps, times)),
        reencoded,
        decoding.interlaced,
        decoding.orientation,
        decoding.frame_types,
        decoding.damaged,
        decoding.lost,
        np.array(times),
        decoding.vectors,
    )


def _mean_rate(rate: float, times: Sequence[float]) -> float:
    """Return the frame rate of the container, or that of the times if the container counts fields or empty chunks."""
    intervals = len(times) - 1
    if intervals > 0 and rate * times[-1] > 1.5 * intervals:
        return intervals / times[-1]
    return rate


def _consumed(decoding: Decoding, coded: CodedStream, consumer: Consumer[Result]) -> Result:
    frames = decode_frames(decoding)
    # The orientation is that of the first frame.
    first = list(islice(frames, 1))
    stream = FrameStream(
        path=decoding.clip.path,
        limits=decoding.clip.limits,
        width=decoding.info.width,
        height=decoding.info.height,
        orientation=decoding.orientation,
        packets=len(coded.packets),
        packet_size=coded.size,
        frames=chain(first, frames),
    )
    return consumer(stream)
