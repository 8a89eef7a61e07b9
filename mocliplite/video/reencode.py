"""Re-encode a clip in memory, for clips without motion vectors."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video.streams import decode, quarter_turns, refuse_size_change, set_up

_ENCODERS = {"mpeg4": "mpeg4", "h264": "libx264"}
_BEST = 118  # libavcodec's FF_QP2LAMBDA, for a quantiser of 1


def reencoded(
    path: str | Path, decoder: VideoCodecContext, packets: Sequence["Packet[VideoStream]"], wanted: Reencode
) -> tuple[VideoCodecContext, list["Packet[VideoStream]"], int]:
    """A decoder and packets of the clip encoded anew, upright and at the size wanted, and how many frames were lost.

    Quality is the highest of MPEG-4 (`-q:v 1`), as in CoViAR's recipe, or CRF 18 of x264 with one reference and no
    B-frame as reference, so that every distance is known.
    """
    set_up(decoder, {})
    encoder, scale, coded, lost = None, VideoReformatter(), [], 0
    frames = decode(decoder, packets)
    for index, frame in enumerate(frames if wanted.size else refuse_size_change(path, frames)):
        if frame is None:
            lost += 1
            continue
        if quarter_turns(frame):
            upright = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns(frame)))
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
