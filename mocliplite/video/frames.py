"""The one notion of frame n: the n-th picture that a sequential decode of the chosen stream shows.

A packet is no frame. Edit lists have packets decoded and not shown, two packets of fields make one picture, one packet
may hold two, or none, and leading pictures of a stream that was cut are dropped. So frames are counted as they come out
of the decoder; `shortcuts` says for which files the packets tell the same without decoding.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
from mocliplite.video.packets import Coded, read_packets
from mocliplite.video.shortcuts import Shortcut, shortcut
from mocliplite.video.streams import DEFAULT_LIMITS, Limits, Opened, opened

Choose = Callable[[str], Sequence[int]]  # from the kinds of all frames, which frames are wanted

_KINDS = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "B", PictureType.S: "P"}
_NEAR = 2  # frames on either side of a wanted one that are kept until the count is known


@dataclass(frozen=True)
class Picture:
    """A frame that was decoded."""

    image: np.ndarray  # uint8 [H, W, 3], RGB, upright
    damaged: bool  # whether the decoder made up a part of it


@dataclass(frozen=True)
class Taken:
    """Frames that were chosen from a clip, in the order of the choice."""

    kinds: str  # of all frames
    indices: list[int]
    times: list[float]  # seconds from the first frame
    pictures: dict[int, Picture]  # by index


def pictures(path: str | Path, wanted: Collection[int], limits: Limits = DEFAULT_LIMITS) -> dict[int, np.ndarray]:
    """Some frames of a clip by index: uint8 [height, width, 3], RGB, upright.

    Index n is the n-th picture that a sequential decode shows; an index that has none is left out. A damaged frame is
    given as the decoder conceals it. Raises UserError for a file that cannot be read.
    """
    with opened(path, limits) as clip:
        coded = read_packets(clip)
        found = _pictures(clip, coded, shortcut(clip, coded), set(wanted))
    return {index: found[index].image for index in sorted(found)}


def take(path: str | Path, choose: Choose, limits: Limits = DEFAULT_LIMITS) -> Taken:
    """The frames that `choose` wants, given the kinds of all: "I", "P" or "B" each.

    Raises UserError for a file that cannot be read, or has no frame that decodes.
    """
    with opened(path, limits) as clip:
        coded = read_packets(clip)
        known = shortcut(clip, coded)
        if known is None:
            return _take_in_one_pass(clip, coded, choose)
        indices = list(choose(known.kinds))
        found = _pictures(clip, coded, known, set(indices))
        times = times_of(clip, coded, known.order, len(known.kinds))
        return Taken(known.kinds, indices, [times[index] for index in indices], found)


def _take_in_one_pass(clip: Opened, coded: Coded, choose: Choose) -> Taken:
    """Decode the whole clip once, keeping the frames that will be wanted if every packet is one frame, or two are.

    Where the count then says that others are wanted, they are decoded once more.
    """
    shown = sum(not packet.is_discard for packet in coded.packets)
    guesses = {index for count in (shown, shown // 2) for index in _guessed(choose, count)}
    kinds: list[str] = []
    numbers: list[int] = []
    kept: dict[int, av.VideoFrame] = {}
    for frame in of_one_size(clip.path, decoded(_fresh(clip), coded.packets)):
        if frame is None:
            continue
        if len(kinds) in guesses:
            kept[len(kinds)] = frame
        kinds.append(kind_of(frame))
        numbers.append(frame.pts)
    if not kinds:
        raise UserError(f"{clip.path} has no frame that decodes; replace or remove it.")
    indices = list(choose("".join(kinds)))
    found = {index: _picture(kept[index]) for index in set(indices) & kept.keys()}
    if len(found) < len(set(indices)):
        found = _sequential(clip, coded, set(indices))
    times = times_of(clip, coded, numbers, len(kinds))
    return Taken("".join(kinds), indices, [times[index] for index in indices], found)


def _guessed(choose: Choose, count: int) -> set[int]:
    try:
        return {index + off for index in choose("I" * count) for off in range(-_NEAR, _NEAR + 1)}
    except UserError:  # too few
        return set()


def _pictures(clip: Opened, coded: Coded, known: Shortcut | None, wanted: set[int]) -> dict[int, Picture]:
    if known is not None and known.order is not None and wanted:
        found = _from_safe_start(clip, coded, known, {index for index in wanted if index < len(known.order)})
        if found is not None:
            return found
    return _sequential(clip, coded, wanted)


def _from_safe_start(clip: Opened, coded: Coded, known: Shortcut, wanted: set[int]) -> dict[int, Picture] | None:
    """Decode from the last safe start before the first one wanted; None where not all comes out as it should."""
    order = known.order or []
    if not wanted:
        return {}
    first, last = min(wanted), max(order[index] for index in wanted)
    place = {number: index for index, number in enumerate(order)}
    start = max((number for number in known.starts if place.get(number, first + 1) <= first), default=0)
    expected = iter([number for number in order[place.get(start, 0) :] if start <= number <= last])
    found = {}
    for frame in decoded(_fresh(clip), coded.packets[start : last + 1], start):
        if frame is None or frame.is_corrupt:
            return None
        index = place.get(frame.pts, -1)
        if index < place.get(start, 0):  # a leading picture, which lacks a reference here
            continue
        if frame.pts != next(expected, None):
            return None
        if index in wanted:
            found[index] = _picture(frame)
    return found if found.keys() == wanted else None


def _sequential(clip: Opened, coded: Coded, wanted: set[int]) -> dict[int, Picture]:
    """Decode from the beginning up to the last one wanted."""
    found: dict[int, Picture] = {}
    last = max(wanted, default=-1)
    frames = (frame for frame in decoded(_fresh(clip), coded.packets) if frame is not None)
    for index, frame in enumerate(frames):
        if index > last:
            break
        if index in wanted:
            found[index] = _picture(frame)
        if index == last:
            break
    return found


def decoded(
    decoder: VideoCodecContext, packets: Sequence["Packet[VideoStream]"], first: int = 0
) -> Iterator[av.VideoFrame | None]:
    """Frames as they are shown, and None for each packet that does not decode.

    A frame's pts is the number of its packet; that of packets[0] is `first`.
    """
    for number, packet in enumerate([*packets, None], first):
        if packet is not None:
            packet.pts = packet.dts = number
        try:
            yield from decoder.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):  # no fault of the packet
                raise
            yield None


def kind_of(frame: av.VideoFrame) -> str:
    """I, P or B."""
    return _KINDS.get(PictureType(frame.pict_type), "I")


def set_up(decoder: VideoCodecContext, options: dict[str, str], skip: Literal["DEFAULT", "NONREF"] = "DEFAULT") -> None:
    """Ready a decoder that has not decoded yet."""
    # Frame threads make the vectors of B-frames differ from run to run; clips are decoded side by side instead.
    decoder.thread_type, decoder.skip_frame = "NONE", skip
    decoder.options = options


def times_of(clip: Opened, coded: Coded, numbers: Sequence[int] | None, count: int) -> list[float]:
    """Seconds from the first frame, of `count` frames that came in the packets of these numbers.

    None: in all packets, one each, whatever the order. Index over rate where the file says nothing: times are missing,
    or start again, as in recordings that were joined.
    """
    stamps = coded.stamps if numbers is None else [coded.stamps[number] for number in numbers]
    told = [stamp for stamp in stamps if stamp is not None]
    avi = clip.container.format.name == "avi"
    if avi or numbers is None:
        # Chunks of AVI are numbered as they lie in the file: those of frames shown out of order change places.
        told.sort()
    rate = clip.info.fps or 1.0
    if len(told) != count or any(after <= before for before, after in pairwise(told)):
        return [index / rate for index in range(count)]
    if avi:
        return [(stamp - told[0]) / rate for stamp in told]
    base = clip.stream.time_base or 0
    return [float((stamp - told[0]) * base) for stamp in told]


def of_one_size(path: str | Path, frames: Iterable[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
    """The frames themselves. Raises UserError where one has another size than the first."""
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


def _fresh(clip: Opened) -> VideoCodecContext:
    decoder = clip.fresh_decoder()
    set_up(decoder, {"max_pixels": str(clip.limits.pixels)})
    return decoder


def _picture(frame: av.VideoFrame) -> Picture:
    image = frame.to_ndarray(format="rgb24")
    return Picture(orientation_of(frame).upright(image), frame.is_corrupt)
