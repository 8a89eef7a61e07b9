"""The packets of a clip, and how many its file has lost. A packet is no frame: frames.py says what is shown."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from av.packet import Packet
from av.video.stream import VideoStream

from mocliplite.errors import LimitError
from mocliplite.video.source import Source
from mocliplite.video.streams import Opened

_COARSE = 10  # units between frames from which on their times may be rounded


@dataclass(frozen=True)
class Coded:
    """All packets of the video stream in the order of decoding; packet n has the number n."""

    packets: "list[Packet[VideoStream]]"
    stamps: list[int | None]  # presentation times as the container gives them; of AVI the numbers of chunks
    hides: bool  # whether an edit list has some decoded and not shown
    lost: int  # frames at the end that are no longer in the file

    @property
    def timed(self) -> bool:
        """Whether every packet has a time of its own."""
        return None not in self.stamps and len(set(self.stamps)) == len(self.stamps)

    @property
    def regular(self) -> bool:
        """Whether the times of all packets are equally far apart, but for rounding: no frame is missing in between."""
        times = sorted(stamp for stamp in self.stamps if stamp is not None)
        steps = [after - before for before, after in pairwise(times)]
        if len(times) < len(self.packets) or not steps:
            return len(times) == len(self.packets)
        return min(steps) > 0 and max(steps) - min(steps) <= (1 if min(steps) >= _COARSE else 0)


def read_packets(clip: Opened) -> Coded:
    """Demux a clip. Raises MachineError where a read fails, LimitError beyond the limits."""
    packets: list[Packet[VideoStream]] = []
    size, most, failed = 0, clip.limits.memory << 20, False
    try:
        for packet in clip.container.demux(clip.stream):
            # Empty ones stand for a frame shown twice; to a decoder they would be the end.
            if packet.size:
                packets.append(packet)
                size += packet.size
                if len(packets) > clip.limits.frames or size > most:
                    raise beyond(clip, len(packets))
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        failed = True
    clip.source.check()
    # In AVI, times to show are guesses; a chunk's number is its time.
    avi = clip.container.format.name == "avi"
    stamps = [packet.dts if avi else packet.pts for packet in packets]
    hides = any(packet.is_discard for packet in packets)
    return Coded(packets, stamps, hides, max(_lacking(clip, packets), int(failed)))


def beyond(clip: Opened, frames: int) -> LimitError:
    """What to raise for a clip that is longer than its limits, or takes more memory, after so many frames."""
    if frames > clip.limits.frames:
        why = f"has more frames than compute.max_frames, {clip.limits.frames}"
    else:
        why = f"takes more memory than compute.max_memory, {clip.limits.memory} MiB, after {frames} frames"
    return LimitError(f"{clip.path} {why}; raise that, or cut the clip into shorter ones, or remove it.")


def _lacking(clip: Opened, packets: "list[Packet[VideoStream]]") -> int:
    """Frames that the file lacks because it ends early: the container places them beyond its last byte.

    A header's count alone proves nothing: AVI counts empty chunks, and MP4 what an edit list hides.
    """
    name, size = clip.container.format.name, clip.source.size
    if name.startswith("mov"):
        beyond_end = sum(entry.pos + entry.size > size for entry in clip.stream.index_entries)
        # The last one may have come in part.
        return max(0, beyond_end - sum(packet.is_corrupt for packet in packets[-1:]))
    # The size in the first header saves reading more of it in a whole file.
    if name == "avi" and 8 + int.from_bytes(clip.source.head(8)[4:], "little") > size and _movi_end(clip.source) > size:
        last = (packets[-1].dts or 0) + 1 if packets else 1
        # As many of the chunks that remain are empty as of those before.
        return max(1, round((clip.stream.frames - last) * len(packets) / last))
    if name.startswith("matroska") and _segment_end(clip.source.head(64)) > size:
        base = clip.stream.time_base or Fraction(1)
        times = [packet.pts * base for packet in packets if packet.pts is not None] or [Fraction(0)]
        step = (max(times) - min(times)) / max(1, len(times) - 1) or Fraction(1, 25)
        rest = Fraction(clip.container.duration or 0, av.time_base) - max(times)
        return max(1, round(rest / step) - 1)
    return 0


def _movi_end(source: Source) -> int:
    """Where the list of frames of an AVI file should end; 0 where there is none."""
    head, at = source.head(1 << 16), 12
    while at + 12 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"LIST" and head[at + 8 : at + 12] == b"movi":
            return at + 8 + size
        at += 8 + size + size % 2
    return 0


def _segment_end(head: bytes) -> int:
    """Where a Matroska file should end by its Segment's size; 0 where that is not said."""
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at >= len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    unknown = value == (1 << 7 * length) - 1
    return 0 if unknown else at + length + value
