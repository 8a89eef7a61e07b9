"""Decoding by frame number. Frame n is the n-th picture that a sequential decode of the video stream outputs.

A packet is not a frame. Frames hidden by an edit list are decoded but not output, two packets of fields make one
frame, a packet may contain two pictures or none, and decoders drop leading pictures at the start of a cut stream.
Frames are therefore counted as they leave the decoder, except where `shortcuts` proves the count without decoding.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice, pairwise
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from mocliplite.errors import UserError
from mocliplite.video.orientation import orientation_of
from mocliplite.video.packets import CodedStream, read_packets
from mocliplite.video.shortcuts import Shortcut, find_shortcut
from mocliplite.video.streams import DEFAULT_LIMITS, Limits, OpenClip, open_clip

# Called with each frame as it is decoded, and the number of packets that could not be decoded so far.
OnFrame = Callable[[av.VideoFrame, int], None]
# From the types and times of all frames of a clip, as in SelectedFrames, to the indices of the selected frames.
Selector = Callable[[str, list[float]], Sequence[int]]

_FRAME_TYPES = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B", PictureType.S: "P"}
_MARGIN = 2  # frames on either side of an expected index that are stored until the number of frames is known
_FEW = 8  # more expected indices are stored without such a margin, because decoded frames need much memory


@dataclass(frozen=True)
class Picture:
    """A decoded frame."""

    image: np.ndarray  # uint8 [H, W, 3], RGB, upright
    damaged: bool  # whether the decoder concealed a part of it


@dataclass(frozen=True)
class SelectedFrames:
    """All frames of a clip, and the pictures of the selected ones."""

    frame_types: str  # "I", "P" or "B" each
    times: list[float]  # seconds from the first frame
    pictures: dict[int, Picture]  # by index


def pictures(path: str | Path, indices: Collection[int], limits: Limits = DEFAULT_LIMITS) -> dict[int, np.ndarray]:
    """Return frames by index: uint8 [height, width, 3], RGB, upright.

    An index beyond the last frame is left out. A damaged frame is returned as the decoder conceals it. Raises UserError
    for a file that cannot be read.
    """
    with open_clip(path, limits) as clip:
        coded = read_packets(clip)
        found = _decode(clip, coded, find_shortcut(clip, coded), set(indices))
    return {index: found[index].image for index in sorted(found)}


def select_frames(path: str | Path, selector: Selector, limits: Limits = DEFAULT_LIMITS) -> SelectedFrames:
    """Decode the frames that `selector` selects from the frame types and times of the clip.

    Raises UserError for a file that cannot be read or has no frame that can be decoded.
    """
    with open_clip(path, limits) as clip:
        coded = read_packets(clip)
        shortcut = find_shortcut(clip, coded)
        if shortcut is None:
            return _select_in_one_pass(clip, coded, selector)
        times = frame_times(clip, coded, shortcut.order, len(shortcut.frame_types))
        found = _decode(clip, coded, shortcut, set(selector(shortcut.frame_types, times)))
        return SelectedFrames(shortcut.frame_types, times, found)


def _select_in_one_pass(clip: OpenClip, coded: CodedStream, selector: Selector) -> SelectedFrames:
    """Decode the whole clip once, and store the frames that are likely to be selected.

    These are the frames around the indices that `selector` returns if each packet is one frame, or if two are. If the
    number of frames turns out to be another, the selected frames are decoded in a second pass.
    """
    visible = sum(not packet.is_discard for packet in coded.packets)
    candidates = {
        index
        for count in (visible, visible // 2)
        for index in _expected_indices(selector, count, frame_times(clip, coded, None, count))
    }
    frame_types: list[str] = []
    packet_numbers: list[int] = []
    stored: dict[int, av.VideoFrame] = {}
    for frame in require_one_size(clip.path, decode_packets(_new_decoder(clip), coded.packets)):
        if frame is None:
            continue
        if len(frame_types) in candidates:
            stored[len(frame_types)] = frame
        frame_types.append(frame_type(frame))
        packet_numbers.append(frame.pts)
    if not frame_types:
        raise UserError(f"{clip.path} has no frame that can be decoded; replace or remove it.")
    times = frame_times(clip, coded, packet_numbers, len(frame_types))
    indices = set(selector("".join(frame_types), times))
    found = {index: picture_of(stored[index]) for index in indices & stored.keys()}
    if len(found) < len(indices):
        found = _decode_from_beginning(clip, coded, indices)
    return SelectedFrames("".join(frame_types), times, found)


def _expected_indices(selector: Selector, count: int, times: list[float]) -> set[int]:
    expected = selector("I" * count, times)
    margin = _MARGIN if len(expected) <= _FEW else 0
    return {index + offset for index in expected for offset in range(-margin, margin + 1)}


def _decode(clip: OpenClip, coded: CodedStream, shortcut: Shortcut | None, indices: set[int]) -> dict[int, Picture]:
    if shortcut is not None and shortcut.order is not None and indices:
        known = {index for index in indices if index < len(shortcut.order)}
        found = _decode_from_safe_starts(clip, coded, shortcut.order, shortcut.safe_starts, known)
        if found is not None:
            return found
    return _decode_from_beginning(clip, coded, indices)


def _decode_from_safe_starts(
    clip: OpenClip, coded: CodedStream, order: Sequence[int], safe_starts: Sequence[int], indices: set[int]
) -> dict[int, Picture] | None:
    """Decode from the last safe start before each index, once for those with the same; None if `_decode_run` is."""
    index_of = {number: index for index, number in enumerate(order)}
    # In order of display. Without a safe start before an index, decoding starts at the first packet.
    starts = sorted((index_of[number], number) for number in safe_starts if number in index_of)
    found: dict[int, Picture] = {}
    for position, run in groupby(sorted(indices), lambda index: bisect_right(starts, (index, len(coded.packets)))):
        start = starts[position - 1][1] if position else 0
        pictures_of_run = _decode_run(clip, coded, order, index_of, start, set(run))
        clip.release_decoders()
        if pictures_of_run is None:
            return None
        found |= pictures_of_run
    return found


def _decode_run(
    clip: OpenClip,
    coded: CodedStream,
    order: Sequence[int],
    index_of: Mapping[int, int],
    start: int,
    indices: set[int],
) -> dict[int, Picture] | None:
    """Decode from a packet up to the last of some indices; None if the decoder outputs unexpected frames."""
    first = index_of.get(start, 0)
    last = max(order[index] for index in indices)
    expected = (number for number in islice(order, first, None) if start <= number <= last)
    found = {}
    for frame in decode_packets(_new_decoder(clip), coded.packets[start : last + 1], start):
        if frame is None or frame.is_corrupt:
            return None
        index = index_of.get(frame.pts, -1)
        if index < first:  # a leading picture, a reference of which has not been decoded
            continue
        if frame.pts != next(expected, None):
            return None
        if index in indices:
            found[index] = picture_of(frame)
    return found if found.keys() == indices else None


def _decode_from_beginning(clip: OpenClip, coded: CodedStream, indices: set[int]) -> dict[int, Picture]:
    """Decode from the first packet up to the last index."""
    found: dict[int, Picture] = {}
    last = max(indices, default=-1)
    frames = (frame for frame in decode_packets(_new_decoder(clip), coded.packets) if frame is not None)
    for index, frame in enumerate(frames):
        if index > last:
            break
        if index in indices:
            found[index] = picture_of(frame)
        if index == last:
            break
    return found


def decode_packets(
    decoder: VideoCodecContext, packets: Iterable["Packet[VideoStream]"], first: int = 0
) -> Iterator[av.VideoFrame | None]:
    """Yield frames in display order, and None for each packet that cannot be decoded.

    The pts of a frame is the number of its packet; that of the first packet is `first`.
    """
    for number, packet in enumerate(chain(packets, [None]), first):
        if packet is not None:
            packet.pts = packet.dts = number
        try:
            yield from decoder.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):  # not caused by the packet
                raise
            yield None


def frame_type(frame: av.VideoFrame) -> str:
    """Return "I", "P" or "B"."""
    return _FRAME_TYPES.get(frame.pict_type, "I")


def configure_decoder(
    decoder: VideoCodecContext, options: dict[str, str], skip: Literal["DEFAULT", "NONREF"] = "DEFAULT"
) -> None:
    """Set the options of a decoder that has not decoded anything yet."""
    # With frame threads, the vectors of B-frames differ from run to run. Clips are decoded in parallel instead.
    decoder.thread_type, decoder.skip_frame = "NONE", skip
    decoder.options = options


def frame_times(clip: OpenClip, coded: CodedStream, packet_numbers: Sequence[int] | None, count: int) -> list[float]:
    """Return the times of `count` frames in seconds from the first frame.

    packet_numbers: the packet of each frame; None if every packet is one frame, in any order. If timestamps are missing
    or start again, as in joined recordings, the time of a frame is its index divided by the frame rate.
    """
    timestamps = coded.timestamps if packet_numbers is None else [coded.timestamps[number] for number in packet_numbers]
    present = [timestamp for timestamp in timestamps if timestamp is not None]
    avi = clip.container.format.name == "avi"
    if avi or packet_numbers is None:
        # AVI numbers its chunks in the order of decoding, so B-frames are not in display order.
        present.sort()
    rate = clip.info.fps or 1.0
    if len(present) != count or any(after <= before for before, after in pairwise(present)):
        return [index / rate for index in range(count)]
    if avi:
        return [(timestamp - present[0]) / rate for timestamp in present]
    base = clip.stream.time_base or 0
    return [float((timestamp - present[0]) * base) for timestamp in present]


def require_one_size(path: str | Path, frames: Iterable[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
    """Yield the frames unchanged. Raises UserError if the size of a frame differs from that of the first."""
    size = None
    for frame in frames:
        if frame is not None:
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise UserError(
                    f"{path} changes its size from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels; "
                    "re-encode it at one size or remove it."
                )
        yield frame


def _new_decoder(clip: OpenClip) -> VideoCodecContext:
    decoder = clip.new_decoder()
    configure_decoder(decoder, {"max_pixels": str(clip.limits.pixels)})
    return decoder


def picture_of(frame: av.VideoFrame) -> Picture:
    """Return a decoded frame as RGB, upright."""
    image = frame.to_ndarray(format="rgb24")
    return Picture(orientation_of(frame).upright(image), frame.is_corrupt)
