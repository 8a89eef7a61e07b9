"""A clip encoded again in memory, so that it has vectors."""

from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video.frames import decoded, of_one_size, set_up
from mocliplite.video.orientation import PLAIN, orientation_of
from mocliplite.video.packets import Coded
from mocliplite.video.streams import Opened

_ENCODERS = {"mpeg4": "mpeg4", "h264": "libx264"}
_LARGEST = {"mpeg4": 8190, "h264": 16384}  # pixels of an edge
_BEST = 118  # libavcodec's FF_QP2LAMBDA, for a quantiser of 1


@dataclass
class Reencoded:
    """What became of a clip."""

    decoder: VideoCodecContext = None  # type: ignore[assignment]
    packets: "list[Packet[VideoStream]]" = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of the clip's own packets, one for each frame
    damaged: list[bool] = field(default_factory=list)  # whether the clip's decoder made up a part of the frame
    interlaced: bool = False
    lost: int = 0
    pixel_aspect: float = 1.0


def reencoded(clip: Opened, coded: Coded, wanted: Reencode) -> Reencoded:
    """The clip encoded again, upright and at the size wanted. Raises UserError where no frame decodes.

    Quality is the highest of MPEG-4 (`-q:v 1`), as in CoViAR's recipe, or CRF 18 of x264 with one reference and no
    B-frame as reference, so that every distance is known. Of an interlaced frame the first field is taken, at full
    height: two fields show two moments, and a block of both would have no motion that fits.
    """
    decoder = clip.fresh_decoder()
    set_up(decoder, {"max_pixels": str(clip.limits.pixels)})
    made, encoder, scale = Reencoded(), None, VideoReformatter()
    frames = decoded(decoder, coded.packets)
    for frame in frames if wanted.size else of_one_size(clip.path, frames):
        if frame is None:
            made.lost += 1
            continue
        made.numbers.append(frame.pts)
        made.damaged.append(frame.is_corrupt)
        made.interlaced |= frame.interlaced_frame
        frame, swaps_axes = _upright(frame)
        if encoder is None:
            encoder = _encoder(wanted, wanted.size or (frame.width, frame.height))
            aspect = 1 / clip.info.pixel_aspect if swaps_axes else clip.info.pixel_aspect
            made.pixel_aspect = aspect * (frame.width * encoder.height) / (frame.height * encoder.width)
        picture = scale.reformat(frame, encoder.width, encoder.height, "yuv420p", interpolation="BICUBIC")
        picture.pts, picture.time_base = len(made.numbers) - 1, encoder.time_base
        picture.pict_type = PictureType.NONE
        made.packets += encoder.encode(picture)
    if encoder is None:
        raise UserError(f"{clip.path} has no frame that decodes; replace or remove it.")
    made.packets += encoder.encode(None)
    made.decoder = av.CodecContext.create(wanted.codec, "r")
    made.decoder.extradata = encoder.extradata
    made.decoder.width, made.decoder.height = encoder.width, encoder.height
    return made


def _upright(frame: av.VideoFrame) -> tuple[av.VideoFrame, bool]:
    """The frame as a player shows it, of an interlaced one the first field; and whether its sides change places."""
    way, whole = orientation_of(frame), frame
    if frame.interlaced_frame:
        field_ = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[::2])
        whole = av.VideoFrame.from_ndarray(field_, format="rgb24").reformat(frame.width, frame.height, "rgb24")
    if way == PLAIN:
        return whole, False
    return av.VideoFrame.from_ndarray(way.upright(whole.to_ndarray(format="rgb24")), format="rgb24"), way.swaps_axes


def _encoder(wanted: Reencode, size: tuple[int, ...]) -> VideoCodecContext:
    encoder = av.CodecContext.create(_ENCODERS[wanted.codec], "w")
    encoder.width, encoder.height = _allowed(wanted.codec, size)
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = wanted.gop, wanted.bframes, 1
    if wanted.codec == "mpeg4":
        encoder.qscale, encoder.global_quality = True, _BEST
    else:
        encoder.options = {"crf": "18", "x264-params": "b-adapt=0:b-pyramid=none:ref=1:weightp=0:weightb=0"}
    return encoder


def _allowed(codec: str, size: tuple[int, ...]) -> tuple[int, int]:
    """The size nearest to the one wanted that the encoder takes: at most so large, and of x264 even."""
    shrink = min(1.0, _LARGEST[codec] / max(size))
    step = 2 if codec == "h264" else 1
    width, height = (max(step, round(edge * shrink) + round(edge * shrink) % step) for edge in size)
    return width, height
