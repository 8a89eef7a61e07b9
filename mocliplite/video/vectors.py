"""Motion vectors of a clip, or of the clip re-encoded in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.params import Reencode
from mocliplite.video import h264, mpeg2, mpeg4
from mocliplite.video.blocks import Blocks, exported_vectors
from mocliplite.video.frames import configure_decoder, decode_packets, frame_times, frame_type, require_one_size
from mocliplite.video.orientation import PLAIN, Orientation, orientation_of
from mocliplite.video.packets import CodedStream, limit_error, read_packets
from mocliplite.video.reencode import reencode_clip
from mocliplite.video.streams import DEFAULT_LIMITS, Info, Limits, OpenClip, open_clip

# Codecs with vectors exported by libavcodec and with sign and scale verified by tests, and those of B-frames.
EXPORTING = ("h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
_EXPORTING_B_FRAMES = ("h264", "mpeg1video", "mpeg2video")
# Settings for clips without vectors, and for interlaced clips without usable vectors.
AUTO = Reencode(codec="mpeg4", gop=12, bframes=0, size=None)

# A motion field has two bytes per cell of 8x8 pixels, and is copied twice while it is computed.
_PIXELS_PER_BYTE = 8 * 8 // 6

# The skipped steps change pixels, but no vector.
_EXPORT = {"flags2": "+export_mvs", "skip_loop_filter": "all", "skip_idct": "all"}


@dataclass
class _DecodedClip:
    """The decoded frames of a clip in display order."""

    orientation: Orientation = PLAIN
    interlaced: bool = False
    frame_types: list[str] = field(default_factory=list)
    packet_numbers: list[int] = field(default_factory=list)  # packet of each frame
    damaged: list[bool] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks)
    lost: int = 0


@dataclass(frozen=True)
class Vectors:
    """The motion vectors of a clip with T frames, in display order."""

    info: Info  # width and height are those of the re-encoded clip, if the clip was re-encoded
    reencoded: bool
    interlaced: bool  # whether any picture of the clip is coded as fields
    orientation: Orientation  # of the pictures that the vectors belong to
    frame_types: list[str]  # "I", "P" or "B" each
    order: np.ndarray  # int64 [T], position of each frame in decoding order
    reference: np.ndarray  # bool [T], whether the frame may be a reference of others
    damaged: np.ndarray  # bool [T], whether the decoder concealed a part of the frame; such a frame has no blocks
    lost: int  # packets that cannot be decoded, and frames cut off at the end of the file
    time: np.ndarray  # float64 [T], seconds from the first frame
    counts: np.ndarray  # int64 [T], number of blocks of each frame
    blocks: np.ndarray  # BLOCK [sum of counts]


def motion_vectors(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, vectors) for each frame, in display order.

    kind is "I", "P" or "B". vectors is a structured array with FFmpeg's field names (AVMotionVector: source, w, h,
    src_x, src_y, dst_x, dst_y, flags, motion_x, motion_y, motion_scale), empty for a frame without vectors.
    Raises UserError for a file that cannot be read or decoded.
    """
    with open_clip(path, limits) as clip:
        configure_decoder(clip.decoder, _EXPORT)
        for frame in require_one_size(path, clip.container.decode(clip.stream)):
            if frame is not None:
                yield frame_type(frame), exported_vectors(frame).copy()


def read_vectors(
    path: str | Path,
    reencode: Reencode | None = None,
    limits: Limits = DEFAULT_LIMITS,
    fallback: Reencode | Literal["skip"] | None = None,
) -> Vectors:
    """Return all vectors of a clip, or of the clip re-encoded in memory with the settings `reencode`.

    An interlaced H.264 clip is always re-encoded, because libavcodec does not tell vectors of fields from those
    of frames.
    The zeros that libavcodec exports for B-frames of MPEG-4 Part 2 are left out.

    fallback: for codecs that export no vectors, the settings to re-encode with; "skip" to return one frame per packet
    without decoding; None to decode anyway. Raises UserError for a file that cannot be read, has no frame that can be
    decoded, or changes its size.
    """
    found = _read(path, reencode, limits, fallback, skip_b_frames=True)
    if found is None:
        found = _read(path, reencode, limits, fallback, skip_b_frames=False)
    if found is None or not found.frame_types:
        raise UserError(f"{path} has no frame that can be decoded; replace or remove it.")
    return found


def _read(
    path: str | Path,
    reencode: Reencode | None,
    limits: Limits,
    fallback: Reencode | Literal["skip"] | None,
    skip_b_frames: bool,
) -> Vectors | None:
    """Return read_vectors, or None if skip_b_frames is set and the decoder outputs other frames than expected.

    skip_b_frames: do not decode B-frames of MPEG-4 Part 2, which have no vectors; their number is read from headers.
    """
    with open_clip(path, limits) as clip:
        coded = read_packets(clip)
        if reencode is None and clip.info.codec not in EXPORTING:
            if fallback == "skip":
                return _without_decoding(clip, coded)
            reencode = fallback
        return _read_own(clip, coded, skip_b_frames) if reencode is None else _read_reencoded(clip, coded, reencode)


def _without_decoding(clip: OpenClip, coded: CodedStream) -> Vectors:
    count = len(coded.packets)
    decoded = _DecodedClip(frame_types=["I"] * count, counts=[0] * count)
    decoded.damaged, decoded.packet_numbers = [False] * count, list(range(count))
    times = [index / (clip.info.fps or 1.0) for index in range(count)]
    return _assemble(clip.info, False, decoded, times, _references("", decoded, [], None))


def _read_own(clip: OpenClip, coded: CodedStream, skip_b_frames: bool) -> Vectors | None:
    codec, expected = clip.info.codec, None
    if skip_b_frames and codec == "mpeg4" and not coded.has_hidden_frames and coded.is_evenly_spaced:
        expected = mpeg4.frame_types(map(bytes, coded.packets))
    decoded = _decode_all(clip, clip.decoder, coded.packets, codec, "NONREF" if expected else "DEFAULT")
    if decoded.interlaced and (codec == "h264" or (codec == "mpeg2video" and mpeg2.has_fields(coded.packets))):
        return _read_reencoded(clip, coded, AUTO)
    decoded.lost += coded.lost
    if decoded.interlaced and codec == "mpeg4":
        _halve_fields(decoded.blocks.all())
    if expected and not _insert_b_frames(decoded, expected):
        return None
    times = frame_times(clip, coded, None if expected else decoded.packet_numbers, len(decoded.frame_types))
    return _assemble(
        clip.info, False, decoded, times, _references(codec, decoded, coded.packets, clip.decoder.extradata)
    )


def _halve_fields(blocks: np.ndarray) -> None:
    """Scale the vectors of MPEG-4 blocks predicted from fields to lines of the frame.

    Only these blocks are 16 pixels wide and 8 high in MPEG-4. libavcodec stores their motion in lines of the frame, but
    doubles it on export.
    """
    fields = (blocks["w"] == 16) & (blocks["h"] == 8)
    blocks["motion_y"][fields] //= 2
    down = blocks["src_y"][fields] - blocks["dst_y"][fields]
    blocks["src_y"][fields] = blocks["dst_y"][fields] + down // 2


def _read_reencoded(clip: OpenClip, coded: CodedStream, reencode: Reencode) -> Vectors:
    result = reencode_clip(clip, coded, reencode)
    decoded = _decode_all(clip, result.decoder, result.packets, reencode.codec, damaged=result.damaged)
    decoded.lost, decoded.interlaced = coded.lost + result.lost, result.interlaced
    width, height = result.decoder.width, result.decoder.height
    info = replace(clip.info, width=width, height=height, pixel_aspect=result.pixel_aspect)
    times = frame_times(clip, coded, result.packet_numbers, len(decoded.frame_types))
    references = _references(reencode.codec, decoded, result.packets, result.decoder.extradata)
    return _assemble(info, True, decoded, times, references)


def _assemble(
    info: Info,
    reencoded: bool,
    decoded: _DecodedClip,
    times: Sequence[float],
    references: tuple[np.ndarray, np.ndarray],
) -> Vectors:
    return Vectors(
        replace(info, fps=_mean_rate(info.fps, times)),
        reencoded,
        decoded.interlaced,
        decoded.orientation,
        decoded.frame_types,
        *references,
        np.array(decoded.damaged, dtype=bool),
        decoded.lost,
        np.array(times),
        np.array(decoded.counts, dtype=np.int64),
        decoded.blocks.all(),
    )


def _mean_rate(rate: float, times: Sequence[float]) -> float:
    """Return the frame rate of the container, or that of the times if the container counts fields or empty chunks."""
    intervals = len(times) - 1
    if intervals > 0 and rate * times[-1] > 1.5 * intervals:
        return intervals / times[-1]
    return rate


def _references(
    codec: str, decoded: _DecodedClip, packets: "Sequence[Packet[VideoStream]]", extradata: bytes | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (Vectors.order, Vectors.reference)."""
    if codec == "h264":
        order = np.argsort(np.argsort(decoded.packet_numbers, kind="stable"))
        is_reference = [h264.is_reference(bytes(packets[number]), extradata) for number in decoded.packet_numbers]
        return order, np.array(is_reference, dtype=bool)
    return np.array(mpeg4.coded_order(decoded.frame_types)), np.array([kind != "B" for kind in decoded.frame_types])


def _decode_all(
    clip: OpenClip,
    decoder: VideoCodecContext,
    packets: "Sequence[Packet[VideoStream]]",
    codec: str,
    skip: Literal["DEFAULT", "NONREF"] = "DEFAULT",
    damaged: Sequence[bool] = (),
) -> _DecodedClip:
    """Decode all packets; leave out the vectors of damaged frames, and of B-frames of codecs that do not export them.

    damaged: frames already damaged before re-encoding. Decoding of interlaced H.264 stops at the first such frame.
    """
    configure_decoder(decoder, {**_EXPORT, "max_pixels": str(clip.limits.pixels)}, skip)
    decoded, memory = _DecodedClip(), clip.limits.memory << 20
    for frame in require_one_size(clip.path, decode_packets(decoder, packets)):
        if frame is None:
            decoded.lost += 1
            continue
        if frame.interlaced_frame:
            decoded.interlaced = True
            if codec == "h264":
                break
        index, kind = len(decoded.frame_types), frame_type(frame)
        decoded.orientation = decoded.orientation if index else orientation_of(frame)
        is_damaged = frame.is_corrupt or (index < len(damaged) and damaged[index])
        has_vectors = not is_damaged and (kind != "B" or codec in _EXPORTING_B_FRAMES)
        decoded.frame_types.append(kind)
        decoded.packet_numbers.append(frame.pts)
        decoded.damaged.append(is_damaged)
        decoded.counts.append(decoded.blocks.add(exported_vectors(frame)) if has_vectors else 0)
        if decoded.blocks.size + len(decoded.frame_types) * frame.width * frame.height // _PIXELS_PER_BYTE > memory:
            raise limit_error(clip, len(decoded.frame_types))
    return decoded


def _insert_b_frames(decoded: _DecodedClip, frame_types: str) -> bool:
    """Insert the skipped B-frames; return False if the other frames are not those expected."""
    if decoded.lost or any(decoded.damaged) or decoded.frame_types != [kind for kind in frame_types if kind != "B"]:
        return False
    counts = iter(decoded.counts)
    decoded.frame_types, decoded.damaged = list(frame_types), [False] * len(frame_types)
    decoded.counts = [0 if kind == "B" else next(counts) for kind in frame_types]
    return True
