"""Re-encoding of a clip in memory, to obtain motion vectors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video.frames import OnFrame, configure_decoder, decode_packets, require_one_size
from mocliplite.video.orientation import PLAIN, orientation_of
from mocliplite.video.streams import OpenStream

# x264 chooses its code by the processor, and its bytes with it, unless told not to.
X264_SAME_BYTES = "cpu-independent=1"
_ENCODERS = {"mpeg4": "mpeg4", "h264": "libx264"}
_MAX_EDGE = {"mpeg4": 8190, "h264": 16384}  # pixels
_HIGHEST_QUALITY = 118  # libavcodec's FF_QP2LAMBDA, for a quantiser of 1


@dataclass
class SourceFrames:
    """What is recorded of the frames of the original clip while it is re-encoded."""

    packet_numbers: list[int] = field(default_factory=list)  # packet of each frame
    damaged: bytearray = field(default_factory=bytearray)  # per frame, whether the decoder concealed a part of it
    interlaced: bool = False
    lost: list[int] = field(default_factory=list)  # for each packet that cannot be decoded, the number of frames before
    on_frame: OnFrame | None = None


@dataclass(frozen=True)
class Reencoded:
    """A clip that is re-encoded while its packets are read, so that they are never stored all at once."""

    decoder: VideoCodecContext
    packets: "Iterator[Packet[VideoStream]]"
    pixel_aspect: float
    source: SourceFrames


def reencode_clip(
    clip: OpenStream, packets: "Iterable[Packet[VideoStream]]", settings: Reencode, source: SourceFrames
) -> Reencoded:
    """Return the packets of a clip re-encoded upright and at the size in the settings; source records its frames.

    The quality is the highest of MPEG-4 (`-q:v 1`), as in CoViAR, or CRF 18 of x264. x264 uses one reference and no
    B-frame as reference, so that every reference distance is known. Of an interlaced frame, only the first field is
    used, scaled to the full height: the two fields show different times, so no vector of a block would fit both.
    Raises UserError if no frame can be decoded.
    """
    frames = _upright_frames(clip, packets, settings, source)
    first = next(frames, None)
    if first is None:
        raise UserError(f"{clip.path} has no frame that can be decoded; replace or remove it.")
    picture, swaps_axes = first
    encoder = _encoder(settings, settings.size or (picture.width, picture.height))
    aspect = 1 / clip.info.pixel_aspect if swaps_axes else clip.info.pixel_aspect
    pixel_aspect = aspect * (picture.width * encoder.height) / (picture.height * encoder.width)
    encoded = _encoded(encoder, chain([first], frames))
    # The extradata exists once the encoder has been opened, for the first packet.
    first_packet = list(islice(encoded, 1))
    decoder = av.CodecContext.create(settings.codec, "r")
    decoder.extradata = encoder.extradata
    decoder.width, decoder.height = encoder.width, encoder.height
    return Reencoded(decoder, chain(first_packet, encoded), pixel_aspect, source)


def _upright_frames(
    clip: OpenStream, packets: "Iterable[Packet[VideoStream]]", settings: Reencode, source: SourceFrames
) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Decode a clip and record its frames; yield each with whether width and height are swapped."""
    decoder = clip.new_decoder()
    configure_decoder(decoder, {"max_pixels": str(clip.limits.pixels)})
    frames = decode_packets(decoder, packets)
    for frame in frames if settings.size else require_one_size(clip.path, frames):
        if frame is None:
            source.lost.append(len(source.packet_numbers))
            continue
        source.packet_numbers.append(frame.pts)
        source.damaged.append(frame.is_corrupt)
        source.interlaced |= frame.interlaced_frame
        if source.on_frame:
            source.on_frame(frame, len(source.lost))
        yield _upright(frame)


def _encoded(
    encoder: VideoCodecContext, frames: Iterable[tuple[av.VideoFrame, bool]]
) -> "Iterator[Packet[VideoStream]]":
    scale = VideoReformatter()
    for number, (frame, _) in enumerate(frames):
        picture = scale.reformat(frame, encoder.width, encoder.height, "yuv420p", interpolation="BICUBIC")
        picture.pts, picture.time_base = number, encoder.time_base
        picture.pict_type = PictureType.NONE
        yield from encoder.encode(picture)
    yield from encoder.encode(None)


def _upright(frame: av.VideoFrame) -> tuple[av.VideoFrame, bool]:
    """Return a frame upright, or its first field if it is interlaced, and whether width and height are swapped."""
    orientation, picture = orientation_of(frame), frame
    if frame.interlaced_frame:
        first_field = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[::2])
        picture = av.VideoFrame.from_ndarray(first_field, format="rgb24").reformat(frame.width, frame.height, "rgb24")
    if orientation == PLAIN:
        return picture, False
    upright = orientation.upright(picture.to_ndarray(format="rgb24"))
    return av.VideoFrame.from_ndarray(upright, format="rgb24"), orientation.swaps_axes


def _encoder(settings: Reencode, size: tuple[int, ...]) -> VideoCodecContext:
    encoder = av.CodecContext.create(_ENCODERS[settings.codec], "w")
    encoder.width, encoder.height = _accepted_size(settings.codec, size)
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = settings.gop, settings.bframes, 1
    if settings.codec == "mpeg4":
        encoder.qscale, encoder.global_quality = True, _HIGHEST_QUALITY
    else:
        encoder.options = {
            "crf": "18",
            "x264-params": f"b-adapt=0:b-pyramid=none:ref=1:weightp=0:weightb=0:{X264_SAME_BYTES}",
        }
    return encoder


def _accepted_size(codec: str, size: tuple[int, ...]) -> tuple[int, int]:
    """Return the nearest size that the encoder accepts: limited in width and height, and even for x264."""
    shrink = min(1.0, _MAX_EDGE[codec] / max(size))
    step = 2 if codec == "h264" else 1
    width, height = (max(step, round(edge * shrink) + round(edge * shrink) % step) for edge in size)
    return width, height
