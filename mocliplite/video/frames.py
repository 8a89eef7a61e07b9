"""Pictures and frame types of a clip by index in display order."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path

import av
import numpy as np

from mocliplite.video import bitstream
from mocliplite.video.streams import (
    NO_PIXELS,
    decode,
    kind_of,
    open_video,
    packet_times,
    quarter_turns,
    read_packets,
    refuse_size_change,
    set_up,
)


def pictures(path: str | Path, wanted: Collection[int]) -> dict[int, np.ndarray]:
    """Some frames of a clip by index in display order: uint8 [height, width, 3], RGB, upright.

    Only what leads to them is decoded: from the last key frame before to the last one wanted, where the container tells
    the frames' times. Frames that are not there, or damaged, are left out. Raises UserError for a file that cannot be
    read.
    """
    with open_video(path) as (container, stream):
        packets, _ = read_packets(container, stream)
        timed, decoder = bool(packet_times(packets, container.format.name)), stream.codec_context
        set_up(decoder, {})
        if not timed:
            frames = (frame for frame in decode(decoder, packets) if frame is not None)
            last = max(wanted, default=-1) + 1
            shown = enumerate(islice(frames, last))
            return {index: _rgb(frame) for index, frame in shown if index in wanted and not frame.is_corrupt}
        # The numbers of packets in order of display, and the packets at which decoding may begin.
        order = sorted(range(len(packets)), key=lambda number: packets[number].pts or 0)
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        place = {order[index]: index for index in wanted if index < len(order)}
        start = max((key for key in keys if key <= min(place, default=0)), default=0)
        found = {}
        for frame in decode(decoder, packets[start : max(place, default=-1) + 1]):
            if frame is not None and not frame.is_corrupt and start + frame.pts in place:
                found[place[start + frame.pts]] = _rgb(frame)
        return found


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns(frame)))


def frame_types(path: str | Path) -> list[str]:
    """Kinds of a clip's frames in display order, I, P and B; where the file does not tell, it is decoded."""
    with open_video(path) as (container, stream):
        packets, _ = read_packets(container, stream)
        codec, decoder = stream.codec_context.codec.canonical_name, stream.codec_context
        counted = bitstream.mpeg4_kinds(map(bytes, packets)) if codec == "mpeg4" else None
        if counted is not None:
            return list(counted)
        set_up(decoder, NO_PIXELS)
        return [kind_of(frame) for frame in refuse_size_change(path, decode(decoder, packets)) if frame is not None]
