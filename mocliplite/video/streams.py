"""Reading videos: motion vectors and keyframes. The only module that imports av."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from mocliplite.errors import UserError

Skip = Literal["DEFAULT", "NONREF"]
Frame = TypeVar("Frame", av.VideoFrame, av.VideoFrame | None)
KINDS = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B", PictureType.S: "P"}
# Neither changes a vector; both save the work of pixels that nobody looks at.
NO_PIXELS = {"skip_loop_filter": "all", "skip_idct": "all"}


@dataclass(frozen=True)
class Info:
    """What a container says of its first video stream."""

    codec: str
    width: int  # pixels, as coded
    height: int  # pixels, as coded
    fps: float  # frames per second, 0 where unknown


def info(path: str | Path) -> Info:
    """Codec, size and rate. Raises UserError for a file without a readable video stream."""
    with open_video(path) as (_, stream):
        return info_of(stream)


def read_packets(container: InputContainer, stream: VideoStream) -> tuple[list["Packet[VideoStream]"], int]:
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


def packet_times(packets: Sequence["Packet[VideoStream]"], container: str) -> list[float]:
    """Seconds from the first frame, of each packet in display order; empty where the container does not tell."""
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
    if container == "avi" or len(set(stamps)) < len(packets):
        return []
    return [float((stamp - stamps[0]) * packets[0].time_base) for stamp in stamps]


def decode(decoder: VideoCodecContext, packets: Iterable["Packet[VideoStream]"]) -> Iterator[av.VideoFrame | None]:
    """Frames in display order, and None for each packet that does not decode; a frame's pts is its packet's number."""
    for number, packet in enumerate([*packets, None]):
        if packet is not None:
            packet.pts = packet.dts = number
        try:
            yield from decoder.decode(packet)
        except av.FFmpegError:
            yield None


def refuse_size_change(path: str | Path, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames. Raises UserError where one has another size than the first."""
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


def set_up(decoder: VideoCodecContext, options: dict[str, str], skip: Skip = "DEFAULT") -> None:
    """Set up a decoder before its first packet."""
    # Frame threads make the vectors of B-frames differ from run to run; clips are decoded side by side instead.
    decoder.thread_type, decoder.skip_frame = "NONE", skip
    decoder.options = options


def kind_of(frame: av.VideoFrame) -> str:
    """The type of a frame: I, P or B."""
    return KINDS.get(PictureType(frame.pict_type), "I")


def quarter_turns(frame: av.VideoFrame) -> int:
    """Quarter turns counterclockwise by which a player shows the frame upright."""
    return round(frame.rotation / 90) % 4


def info_of(stream: VideoStream) -> Info:
    """Codec, size and rate of an open stream."""
    context = stream.codec_context
    rate = stream.average_rate or Fraction(0)
    # Not the decoder's name, which is libdav1d for AV1.
    return Info(context.codec.canonical_name, context.width, context.height, float(rate))


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream. Raises UserError where it has none, or reading it fails within."""
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
