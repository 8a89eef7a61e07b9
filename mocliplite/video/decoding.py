"""Decoding of a clip to frames with motion vectors, one at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mocliplite.video import h264
from mocliplite.video.blocks import NO_VECTORS, exported_vectors
from mocliplite.video.frames import OnFrame, configure_decoder, decode_packets, frame_type, require_one_size
from mocliplite.video.orientation import PLAIN, Orientation, orientation_of
from mocliplite.video.streams import Info, OpenStream

EXPORT_PIXELS = {"flags2": "+export_mvs"}
# The skipped steps change pixels, but no vector.
EXPORT_VECTORS = {**EXPORT_PIXELS, "skip_loop_filter": "all", "skip_idct": "all"}
_EXPORTING_B_FRAMES = ("h264", "mpeg1video", "mpeg2video")


class Frame(NamedTuple):
    """A frame and its vectors."""

    frame_type: str  # "I", "P" or "B"
    order: int  # at least 0, increasing in decoding order, but not always by 1
    reference: bool  # whether the frame may be a reference of others
    blocks: np.ndarray  # EXPORTED [V], empty for a damaged frame; a view of the decoded picture, which it keeps


class UnexpectedFrameError(Exception):
    """The decoder outputs other frames than the headers announce."""


class UnusableVectorsError(Exception):
    """The clip is interlaced, and libavcodec does not tell its vectors of fields from those of frames."""


class _DecodedFrame(NamedTuple):
    """A frame as the decoder outputs it."""

    frame_type: str
    packet_number: int
    damaged: bool
    blocks: np.ndarray


_B_FRAME = _DecodedFrame("B", 0, False, NO_VECTORS)  # not decoded


@dataclass
class Decoding:
    """The decoding of a clip or of its re-encoded copy: what is decoded, and what is recorded of the frames."""

    clip: OpenStream
    info: Info
    codec: str
    decoder: VideoCodecContext
    packets: "Iterable[Packet[VideoStream]]"
    expected: str | None = None  # frame types, if B-frames are not decoded
    damaged_before: Sequence[int] = ()  # by frame, damaged before re-encoding
    has_unusable_vectors: Callable[[], bool] = lambda: False  # called if the clip is interlaced
    pixels: bool = False  # whether the pixels have to be right, not only the vectors
    on_frame: OnFrame | None = None

    orientation: Orientation = PLAIN
    interlaced: bool = False
    frame_types: list[str] = field(default_factory=list)
    packet_numbers: list[int] = field(default_factory=list)  # packet of each frame
    damaged: list[int] = field(default_factory=list)  # as in ClipFrames
    lost: list[int] = field(default_factory=list)  # as in ClipFrames
    vectors: int = 0


def decode_frames(decoding: Decoding) -> Iterator[Frame]:
    """Decode, and record each frame."""
    references = bytearray()  # by packet, whether its frame may be a reference
    decoded = _decoded(decoding, references)
    if decoding.expected:
        decoded = _with_b_frames(decoded, decoding.expected)
    b_frames = 0  # since the last I- or P-frame
    for index, frame in enumerate(decoded):
        decoding.frame_types.append(frame.frame_type)
        decoding.packet_numbers.append(frame.packet_number)
        if frame.damaged:
            decoding.damaged.append(index)
        decoding.vectors += len(frame.blocks)
        if decoding.codec == "h264":
            order, reference = frame.packet_number, bool(references[frame.packet_number])
        else:
            # B-frames are decoded after the I- or P-frame that follows them in display order.
            reference = frame.frame_type != "B"
            order = index - b_frames if reference else index + 1
            b_frames = 0 if reference else b_frames + 1
        yield Frame(frame.frame_type, order, reference, frame.blocks)


def _with_b_frames(decoded: Iterable[_DecodedFrame], expected: str) -> Iterator[_DecodedFrame]:
    """Insert the B-frames that were skipped. Raises UnexpectedFrameError if the other frames are not the expected."""
    position = 0
    for frame in decoded:
        while expected[position : position + 1] == "B":
            yield _B_FRAME
            position += 1
        if frame.damaged or frame.frame_type != expected[position : position + 1]:
            raise UnexpectedFrameError
        position += 1
        yield frame
    if expected[position:].strip("B"):
        raise UnexpectedFrameError
    yield from [_B_FRAME] * (len(expected) - position)


def _decoded(decoding: Decoding, references: bytearray) -> Iterator[_DecodedFrame]:
    """Decode all packets; leave out the vectors of damaged frames, and of B-frames of codecs that do not export them.

    references: for H.264, is extended by whether the frame of each packet may be a reference.
    """
    decoder, codec, damaged_before = decoding.decoder, decoding.codec, decoding.damaged_before
    options = {**(EXPORT_PIXELS if decoding.pixels else EXPORT_VECTORS), "max_pixels": str(decoding.clip.limits.pixels)}
    configure_decoder(decoder, options, "NONREF" if decoding.expected else "DEFAULT")
    packets = _noting_references(decoding, references) if codec == "h264" else decoding.packets
    index = 0
    for frame in require_one_size(decoding.clip.path, decode_packets(decoder, packets)):
        if frame is None:
            if decoding.expected:
                raise UnexpectedFrameError
            decoding.lost.append(index)
            continue
        if frame.interlaced_frame and not decoding.interlaced:
            decoding.interlaced = True
            if decoding.has_unusable_vectors():
                raise UnusableVectorsError
        if decoding.on_frame:
            decoding.on_frame(frame, len(decoding.lost))
        if index == 0:
            decoding.orientation = orientation_of(frame)
        kind = frame_type(frame)
        damaged = frame.is_corrupt or (index < len(damaged_before) and bool(damaged_before[index]))
        has_vectors = not damaged and (kind != "B" or codec in _EXPORTING_B_FRAMES)
        blocks = exported_vectors(frame) if has_vectors else NO_VECTORS
        if decoding.interlaced and codec == "mpeg4":
            blocks = _with_halved_fields(blocks)
        index += 1
        yield _DecodedFrame(kind, frame.pts, damaged, blocks)


def _noting_references(decoding: Decoding, references: bytearray) -> "Iterator[Packet[VideoStream]]":
    extradata = decoding.decoder.extradata
    for packet in decoding.packets:
        references.append(h264.is_reference(bytes(packet), extradata))
        yield packet


def _with_halved_fields(blocks: np.ndarray) -> np.ndarray:
    """Scale the vectors of MPEG-4 blocks predicted from fields to lines of the frame.

    Only these blocks are 16 pixels wide and 8 high in MPEG-4. libavcodec stores their motion in lines of the frame, but
    doubles it on export.
    """
    blocks = blocks.copy()
    fields = (blocks["w"] == 16) & (blocks["h"] == 8)
    blocks["motion_y"][fields] //= 2
    down = blocks["src_y"][fields] - blocks["dst_y"][fields]
    blocks["src_y"][fields] = blocks["dst_y"][fields] + down // 2
    return blocks
