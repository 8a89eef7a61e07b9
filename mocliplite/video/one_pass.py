"""One pass over a video of any length, such as a long file or a camera: vectors, and on request pictures.

The modules `vectors` and `frames` read all packets of a clip before they decode it. Here each packet is decoded as soon
as it is read. So memory does not grow with the length of the video, and the video need not have an end.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video.decoding import Decoding, Frame, decode_frames
from mocliplite.video.frames import frame_type
from mocliplite.video.reencode import SourceFrames, reencode_clip
from mocliplite.video.streams import Info, OpenStream
from mocliplite.video.vectors import FrameStream

Packets = Iterator["Packet[VideoStream]"]
Records = list[list[Any]]  # with an item per frame

_DELAY = 64  # packets, more than any decoder holds back
_DEFAULT_RATE = 25.0  # frames per second, where neither the container nor timestamps say it
# Codecs whose vectors libavcodec does not tell apart in interlaced video.
_UNUSABLE_INTERLACED = ("h264", "mpeg2video")


@dataclass(frozen=True)
class PassedFrame:
    """A frame of the video."""

    time: float  # seconds from the first frame, increasing
    intra: bool  # whether it is an I-frame of the video
    damaged: bool  # whether the decoder concealed a part of it
    lost: int  # number of packets since the frame before that cannot be decoded
    picture: av.VideoFrame | None  # on request
    arrived: float  # time.monotonic() when it was decoded
    frame_type: str = ""  # "I", "P" or "B", after re-encoding
    vectors: int = 0


@dataclass(frozen=True)
class Pass:
    """One pass over a video. While `stream.frames` is read, its frames are appended to `frames`, in display order."""

    stream: FrameStream
    frames: deque[PassedFrame]  # the reader removes them
    info: Info  # width and height are those of the re-encoded video, if it is re-encoded
    reencoded: bool
    interval: float  # seconds from a frame to the next one, according to the container


def start_pass(clip: OpenStream, reencode: Reencode | None, pictures: bool) -> Pass:
    """Start to decode a video, or the video re-encoded in memory with the settings `reencode`.

    pictures: keep the decoded picture of each frame. Without it, decoding leaves out what only changes pixels. Raises
    UserError without any frame; the frames raise UnusableVectorsError if the video has to be re-encoded, because it is
    interlaced.
    """
    clock, seen, passed = _Clock(clip), deque[PassedFrame](), deque[PassedFrame]()
    lost = 0

    def see(frame: av.VideoFrame, lost_so_far: int) -> None:
        nonlocal lost
        new, lost = lost_so_far - lost, lost_so_far
        seconds, intra = clock.time(frame.pts), frame_type(frame) == "I"
        picture = frame if pictures else None
        seen.append(PassedFrame(seconds, intra, frame.is_corrupt, new, picture, time.monotonic()))

    if reencode is None:
        decoding, records = _decoded(clip, clock.packets(), see, pictures)
    else:
        decoding, records = _decoded_again(clip, clock.packets(), see, reencode)
    frames = _passed(decoding, seen, passed, records)
    # The orientation is that of the first frame.
    first = list(islice(frames, 1))
    if not first:
        raise UserError(f"{clip.path} has no frame that can be decoded; replace or remove it.")
    stream = FrameStream(
        path=clip.path,
        limits=clip.limits,
        width=decoding.info.width,
        height=decoding.info.height,
        orientation=decoding.orientation,
        packets=0,
        packet_size=0,
        frames=chain(first, frames),
    )
    return Pass(stream, passed, decoding.info, reencode is not None, clock.interval)


def _decoded(
    clip: OpenStream, packets: Packets, see: Callable[[av.VideoFrame, int], None], pictures: bool
) -> tuple[Decoding, Records]:
    """Return the decoding of a video, whose frames are given to `see`, and its lists with an item per frame."""
    decoding = Decoding(clip, clip.info, clip.info.codec, clip.decoder, packets, on_frame=see)
    decoding.has_unusable_vectors = lambda: clip.info.codec in _UNUSABLE_INTERLACED
    decoding.pixels = pictures
    return decoding, [decoding.frame_types, decoding.packet_numbers, decoding.damaged]


def _decoded_again(
    clip: OpenStream, packets: Packets, see: Callable[[av.VideoFrame, int], None], reencode: Reencode
) -> tuple[Decoding, Records]:
    """Return the same for a video that is decoded, encoded and decoded again."""
    source = SourceFrames(on_frame=see)
    new = reencode_clip(clip, packets, reencode, source)
    info = replace(clip.info, width=new.decoder.width, height=new.decoder.height, pixel_aspect=new.pixel_aspect)
    decoding = Decoding(clip, info, reencode.codec, new.decoder, new.packets, damaged_before=source.damaged)
    return decoding, [decoding.frame_types, decoding.packet_numbers, decoding.damaged, source.packet_numbers]


def _passed(
    decoding: Decoding, seen: deque[PassedFrame], passed: deque[PassedFrame], records: Records
) -> Iterator[Frame]:
    """Yield the frames. The records are emptied, since nobody needs them here."""
    for frame in decode_frames(decoding):
        for record in records:
            record.clear()
        passed.append(replace(seen.popleft(), frame_type=frame.frame_type, vectors=len(frame.blocks)))
        yield frame


class _Clock:
    """The times of the frames of a video, in seconds from the first frame.

    Where a timestamp is missing or not later than the last one, as in joined recordings, the frame follows the last one
    after the usual interval, and the times that follow continue from there.
    """

    def __init__(self, clip: OpenStream) -> None:
        self._clip = clip
        # In AVI, FFmpeg guesses presentation timestamps. The number of a chunk is its time.
        self._avi = clip.container.format.name == "avi"
        rate = clip.info.fps or _DEFAULT_RATE
        self.interval = 1 / rate
        # The rate that was written, but for one so low that it would be 0.
        written = Fraction(rate).limit_denominator(100000) or Fraction(rate)
        self._base = 1 / written if self._avi else clip.stream.time_base
        self._timestamps: dict[int, int | None] = {}  # by number of packet, of those not displayed yet
        self._first: int | None = None  # timestamp at `_shift` seconds
        self._shift, self._last = 0.0, -self.interval

    def packets(self) -> Packets:
        """Yield the packets of the video, up to a part that cannot be read."""
        number = 0
        try:
            for packet in self._clip.container.demux(self._clip.stream):
                # An empty packet repeats the last frame; a decoder would take it for the end of the stream.
                if packet.size:
                    self._timestamps[number] = packet.dts if self._avi else packet.pts
                    number += 1
                    yield packet
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise

    def time(self, number: int) -> float:
        """Return the time of the next frame in display order, which was in the packet of this number."""
        timestamp = self._take(number)
        time = self._last + self.interval
        if timestamp is not None and self._base is not None:
            if self._first is not None:
                time = float((timestamp - self._first) * self._base) + self._shift
            if self._first is None or time <= self._last:
                self._first, self._shift = timestamp, self._last + self.interval
                time = self._shift
        self._last = time
        return time

    def _take(self, number: int) -> int | None:
        # AVI numbers its chunks in the order of decoding, so B-frames are not in display order.
        taken = next(iter(self._timestamps), number) if self._avi else number
        timestamp = self._timestamps.pop(taken, None)
        for old in [old for old in islice(self._timestamps, _DELAY) if old < number - _DELAY]:
            del self._timestamps[old]
        return timestamp
