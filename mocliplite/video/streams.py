"""Opening a clip: selection of its video stream, and what the container says about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mocliplite.errors import LimitError, MachineError, UserError
from mocliplite.params import Compute
from mocliplite.video.source import Source

_BUFFER = 1 << 18  # bytes per read; with the 32 KiB of FFmpeg, calls into Python take too long
# The containers that are opened, as FFmpeg calls them. Its other demuxers, of games, pictures and playlists, are rarely
# used, and their errors are found late.
CONTAINERS = (
    *("mov", "avi", "matroska", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "dv", "mxf", "rm"),
    *("h264", "hevc", "m4v", "gif", "ivf", "obu", "yuv4mpegpipe"),
    *("wav", "mp3", "aac", "flac"),  # for a better sentence: they have no video stream
)
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class Limits:
    """The size limits of a clip, settings compute.max_*. Beyond them LimitError is raised."""

    pixels: int = Compute.max_pixels  # per frame, width times height
    frames: int = Compute.max_frames
    memory: int = Compute.max_memory  # MiB for the packets and the motion field of a clip together

    @classmethod
    def of(cls, compute: Compute) -> "Limits":
        """Return the limits in the settings."""
        return cls(compute.max_pixels, compute.max_frames, compute.max_memory)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Info:
    """Properties of a video stream according to its container."""

    codec: str
    width: int  # pixels, as coded
    height: int  # pixels, as coded
    fps: float  # frames per second, 0 if unknown
    pixel_aspect: float = 1.0  # width of a pixel divided by its height, 1 if unknown


@dataclass(frozen=True)
class OpenStream:
    """An open video stream, which is read once."""

    path: str | Path
    container: InputContainer
    stream: VideoStream
    info: Info
    limits: Limits

    @property
    def decoder(self) -> VideoCodecContext:
        """The decoder of the stream."""
        return self.stream.codec_context

    def new_decoder(self) -> VideoCodecContext:
        """Return a decoder that has not decoded anything yet, because the output of a decoder depends on its state."""
        return self.decoder


@dataclass(frozen=True)
class OpenClip(OpenStream):
    """The open video stream of a clip, whose file may be read several times."""

    source: Source
    reopened: list[InputContainer] = field(default_factory=list)

    def new_decoder(self) -> VideoCodecContext:
        """Return a decoder that has not decoded anything yet, because the output of a decoder depends on its state."""
        if not self.decoder.is_open:
            return self.decoder
        self.source.seek(0)
        reopened = _container(self.source)
        self.reopened.append(reopened)
        decoder: VideoCodecContext = reopened.streams[self.stream.index].codec_context
        return decoder

    def release_decoders(self) -> None:
        """Free the memory of decoders from new_decoder that are no longer used."""
        self.reopened.clear()


def info(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Info:
    """Return codec, size, frame rate and pixel aspect ratio. Raises UserError for a file without a video stream."""
    with open_clip(path, limits) as clip:
        return clip.info


@contextmanager
def open_clip(path: str | Path, limits: Limits) -> Iterator[OpenClip]:
    """Open a clip. Errors of FFmpeg in the block become UserError, and failed reads MachineError."""
    source = Source(path)
    try:
        with _container(source) as container:
            stream = checked_stream(path, container, limits)
            yield OpenClip(**vars(stream), source=source)
            source.check()
    except MemoryError:
        raise MachineError(f"{path} was not read because memory is full; lower compute.workers.") from None
    except (av.FFmpegError, OSError) as error:
        source.check()
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path} cannot be decoded as video ({reason}); replace or remove it.") from None
    finally:
        source.close()


def checked_stream(path: str | Path, container: InputContainer, limits: Limits) -> OpenStream:
    """Return the video stream of a container. Raises UserError without one, and LimitError for too many pixels."""
    stream = _select_stream(path, container)
    found = _info(stream)
    if found.width * found.height > limits.pixels:
        raise LimitError(
            f"{path} has {found.width}x{found.height} pixels, more than compute.max_pixels, {limits.pixels}; "
            "raise the limit, re-encode the clip at a smaller size, or remove it."
        )
    return OpenStream(path, container, stream, found, limits)


def _container(source: Source) -> InputContainer:
    # Invalid text in the metadata is replaced. No protocol is allowed, because FFmpeg would open the files named by a
    # playlist, even over the network.
    options = {"protocol_whitelist": "none", "format_whitelist": ",".join(CONTAINERS)}
    try:
        return av.open(source, metadata_errors="replace", buffer_size=_BUFFER, container_options=options)
    except av.ArgumentError:
        problem = "is damaged or in a container that is not read"
        raise UserError(f"{source.path} {problem}; replace it, or convert it to MP4 or Matroska.") from None


def _select_stream(path: str | Path, container: InputContainer) -> VideoStream:
    """Return the stream that a player displays: the best one of FFmpeg that is not a cover and can be decoded."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not videos:
        raise UserError(f"{path} has no video stream; replace it with a video or remove it.")
    decodable = [stream for stream in videos if stream.codec_context is not None]
    if not decodable:
        raise UserError(
            f"{path} is in a codec that this build of FFmpeg cannot decode; re-encode it as H.264 or MPEG-4."
        )
    default = [stream for stream in decodable if stream.disposition & Disposition.default] or decodable
    best = container.streams.best("video")
    return best if best in default else default[0]


def _info(stream: VideoStream) -> Info:
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    # Not the name of the decoder, which is libdav1d for AV1.
    return Info(context.codec.canonical_name, context.width, context.height, float(rate), float(aspect) or 1.0)


def decoders() -> tuple[str, list[str]]:
    """Return the version of libavcodec, and the codecs with vectors that it cannot decode."""
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return version, [name for name in ("h264", "mpeg4") if name not in av.codecs_available]
