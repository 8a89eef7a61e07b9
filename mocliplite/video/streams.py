"""Opening a clip: which of its streams is the video, and what the container says of it."""

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

_BUFFER = 1 << 18  # bytes of a read; FFmpeg's own 32 KiB would cost a call into Python each
_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class Limits:
    """How large a clip may be, as the settings compute.max_* say; beyond it LimitError is raised."""

    pixels: int = Compute.max_pixels  # of a picture, width times height
    frames: int = Compute.max_frames
    memory: int = Compute.max_memory  # MiB that a clip's packets and vectors may take together

    @classmethod
    def of(cls, compute: Compute) -> "Limits":
        """The limits in the settings."""
        return cls(compute.max_pixels, compute.max_frames, compute.max_memory)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Info:
    """What a container says of its video stream."""

    codec: str
    width: int  # pixels, as coded
    height: int  # pixels, as coded
    fps: float  # frames per second, 0 where unknown
    pixel_aspect: float = 1.0  # width of a pixel over its height, 1 where unknown


@dataclass(frozen=True)
class Opened:
    """An open clip and its video stream."""

    path: str | Path
    source: Source
    container: InputContainer
    stream: VideoStream
    info: Info
    limits: Limits
    again: list[InputContainer] = field(default_factory=list)

    @property
    def decoder(self) -> VideoCodecContext:
        """The stream's decoder."""
        return self.stream.codec_context

    def fresh_decoder(self) -> VideoCodecContext:
        """A decoder that has decoded nothing yet: what one has learnt of a stream changes what it shows."""
        if not self.decoder.is_open:
            return self.decoder
        self.source.seek(0)
        again = _container(self.source)
        self.again.append(again)
        decoder: VideoCodecContext = again.streams[self.stream.index].codec_context
        return decoder


def info(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Info:
    """Codec, size, rate and pixel aspect ratio. Raises UserError for a file without a readable video stream."""
    with opened(path, limits) as clip:
        return clip.info


@contextmanager
def opened(path: str | Path, limits: Limits) -> Iterator[Opened]:
    """Open a clip. Whatever FFmpeg raises in the block is a UserError, and a failed read is a MachineError."""
    source = Source(path)
    try:
        with _container(source) as container:
            stream = _chosen(path, container)
            found = _info(stream)
            if found.width * found.height > limits.pixels:
                raise LimitError(
                    f"{path} has {found.width}x{found.height} pixels, more than compute.max_pixels, {limits.pixels}; "
                    "raise that, or encode it again smaller, or remove it."
                )
            yield Opened(path, source, container, stream, found, limits)
            source.check()
    except MemoryError:
        raise MachineError(f"{path} was not read: there is no memory left; lower compute.workers.") from None
    except (av.FFmpegError, OSError) as error:
        source.check()
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path} cannot be decoded as video ({reason}); replace or remove it.") from None
    finally:
        source.close()


def _container(source: Source) -> InputContainer:
    # A broken name in the metadata is no reason to refuse the clip. A file may name other files, as playlists do, which
    # FFmpeg would open, also from the network: no protocol is allowed.
    alone = {"protocol_whitelist": "none"}
    return av.open(source, metadata_errors="replace", buffer_size=_BUFFER, container_options=alone)


def _chosen(path: str | Path, container: InputContainer) -> VideoStream:
    """The stream that a player shows: FFmpeg's best one that is no attached picture and can be decoded."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _PICTURE]
    if not videos:
        raise UserError(f"{path} has no video stream; remove it or replace it by a video.")
    known = [stream for stream in videos if stream.codec_context is not None]
    if not known:
        raise UserError(f"{path} is in a codec that FFmpeg cannot decode here; encode it again as H.264 or MPEG-4.")
    marked = [stream for stream in known if stream.disposition & Disposition.default] or known
    best = container.streams.best("video")
    return best if best in marked else marked[0]


def _info(stream: VideoStream) -> Info:
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    # Not the decoder's name, which is libdav1d for AV1.
    return Info(context.codec.canonical_name, context.width, context.height, float(rate), float(aspect) or 1.0)


def decoders() -> tuple[str, list[str]]:
    """libavcodec's version, and which of the codecs with vectors it cannot decode."""
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return version, [name for name in ("h264", "mpeg4") if name not in av.codecs_available]
