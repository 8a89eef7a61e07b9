"""The packets of a clip, and the number of frames cut off at the end of its file."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from mocliplite.errors import LimitError
from mocliplite.video.source import Source
from mocliplite.video.streams import Limits, OpenClip

_COARSE = 10  # smallest interval, in units of the time base, at which timestamps may be rounded


@dataclass(frozen=True)
class CodedStream:
    """All packets of the video stream in decoding order; the number of a packet is its index."""

    packets: "list[Packet[VideoStream]]"
    timestamps: list[int | None]  # presentation timestamps of the container; in AVI, numbers of chunks
    has_hidden_frames: bool  # whether an edit list hides frames that are decoded
    lost: int  # frames cut off at the end of the file

    @property
    def size(self) -> int:
        """Bytes of all packets."""
        return sum(packet.size for packet in self.packets)

    @property
    def has_unique_timestamps(self) -> bool:
        """Whether every packet has a timestamp and all differ."""
        return None not in self.timestamps and len(set(self.timestamps)) == len(self.timestamps)

    @property
    def is_evenly_spaced(self) -> bool:
        """Whether all timestamps are evenly spaced up to rounding, so that no frame is missing in between."""
        times = sorted(timestamp for timestamp in self.timestamps if timestamp is not None)
        steps = [after - before for before, after in pairwise(times)]
        if len(times) < len(self.packets) or not steps:
            return len(times) == len(self.packets)
        return min(steps) > 0 and max(steps) - min(steps) <= (1 if min(steps) >= _COARSE else 0)


def read_packets(clip: OpenClip) -> CodedStream:
    """Demux a clip. Raises MachineError if a read fails, and LimitError beyond the limits."""
    packets: list[Packet[VideoStream]] = []
    size, most, failed = 0, clip.limits.memory << 20, False
    try:
        for packet in clip.container.demux(clip.stream):
            # An empty packet repeats the last frame; a decoder would take it for the end of the stream.
            if packet.size:
                packets.append(packet)
                size += packet.size
                if len(packets) > clip.limits.frames or size > most:
                    raise limit_error(clip.path, clip.limits, len(packets))
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        failed = True
    clip.source.check()
    # In AVI, FFmpeg guesses presentation timestamps. The number of a chunk is its time.
    avi = clip.container.format.name == "avi"
    timestamps = [packet.dts if avi else packet.pts for packet in packets]
    has_hidden_frames = any(packet.is_discard for packet in packets)
    return CodedStream(packets, timestamps, has_hidden_frames, max(_count_cut_frames(clip, packets), int(failed)))


def limit_error(path: str | Path, limits: Limits, frames: int) -> LimitError:
    """Return the error for a clip that exceeds the number of frames or the memory after so many frames."""
    if frames > limits.frames:
        problem = f"has more frames than compute.max_frames, {limits.frames}"
    else:
        problem = f"needs more memory than compute.max_memory, {limits.memory} MiB, after {frames} frames"
    return LimitError(f"{path} {problem}; raise the limit, split the clip (for predict: --window), or remove it.")


def _count_cut_frames(clip: OpenClip, packets: "list[Packet[VideoStream]]") -> int:
    """Return the number of frames that the container places beyond the last byte of the file.

    The number of frames in a header proves nothing: AVI counts empty chunks, and MP4 frames hidden by an edit list.
    """
    name, size = clip.container.format.name, clip.source.size
    if name.startswith("mov"):
        beyond_end = sum(entry.pos + entry.size > size for entry in clip.stream.index_entries)
        # The last packet may have been read in part.
        return max(0, beyond_end - sum(packet.is_corrupt for packet in packets[-1:]))
    # The size in the first header shows that most files are complete, without reading more of them.
    if name == "avi" and 8 + int.from_bytes(clip.source.head(8)[4:], "little") > size and _movi_end(clip.source) > size:
        last = (packets[-1].dts or 0) + 1 if packets else 1
        # Assume the same fraction of empty chunks among those cut off.
        return max(1, round((clip.stream.frames - last) * len(packets) / last))
    if name.startswith("matroska") and _segment_end(clip.source.head(64)) > size:
        base = clip.stream.time_base or Fraction(1)
        times = [packet.pts * base for packet in packets if packet.pts is not None] or [Fraction(0)]
        step = (max(times) - min(times)) / max(1, len(times) - 1) or Fraction(1, 25)
        rest = Fraction(clip.container.duration or 0, av.time_base) - max(times)
        return max(1, round(rest / step) - 1)
    return 0


def _movi_end(source: Source) -> int:
    """Return the offset at which the list of frames of an AVI file should end, 0 if it is not found."""
    head, at = source.head(1 << 16), 12
    while at + 12 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"LIST" and head[at + 8 : at + 12] == b"movi":
            return at + 8 + size
        at += 8 + size + size % 2
    return 0


def _segment_end(head: bytes) -> int:
    """Return the offset at which the Segment of a Matroska file should end, 0 if its size is unknown."""
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at >= len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    unknown = value == (1 << 7 * length) - 1
    return 0 if unknown else at + length + value
