"""Syntax of H.264: NAL units and sequence parameter sets (ITU-T H.264, 7.3)."""

from collections.abc import Iterator
from dataclasses import dataclass

_START_CODE = b"\x00\x00\x01"  # of a NAL unit in a byte stream
_CHROMA_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles with chroma_format_idc


@dataclass(frozen=True)
class SequenceParameterSet:
    """The fields of a sequence parameter set that are used here."""

    frame_number_bits: int
    order_count_type: int
    order_bits: int
    frames_only: bool
    max_reordered: int | None  # max_num_reorder_frames, None if it is not given
    separate_planes: bool


class UnprovenError(Exception):
    """The headers do not prove that each packet decodes to one frame."""


class Bits:
    """Bit reader that skips emulation prevention bytes. Its methods are named after the descriptors of H.264."""

    def __init__(self, unit: bytes) -> None:
        plain = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def u(self, count: int) -> int:
        """Read an unsigned integer of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise UnprovenError
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:
                raise UnprovenError
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb code."""
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def units(packet: bytes, extradata: bytes | None) -> Iterator[bytes]:
    """Yield the NAL units of a packet, each at least one byte long."""
    if extradata and extradata[0] == 1 and len(extradata) > 4:
        size, at = (extradata[4] & 3) + 1, 0
        while at + size < len(packet):
            length = int.from_bytes(packet[at : at + size], "big")
            if length:
                yield packet[at + size : at + size + length]
            at += size + length
    else:
        at = packet.find(_START_CODE)
        while 0 <= at < len(packet) - 3:
            after = packet.find(_START_CODE, at + 3)
            if after != at + 3:  # in damaged streams, a start code may follow another
                yield packet[at + 3 : after if after >= 0 else len(packet)]
            at = after


def parameter_sets(extradata: bytes | None) -> Iterator[bytes]:
    """Yield the parameter sets of a decoder configuration record (ISO/IEC 14496-15), or of a byte stream."""
    if not extradata:
        return
    if extradata[0] != 1:
        yield from units(extradata, None)
        return
    if len(extradata) < 7:
        raise UnprovenError
    at, left = 6, extradata[5] & 0x1F
    for group in range(2):
        for _ in range(left):
            length = int.from_bytes(extradata[at : at + 2], "big")
            if not length or at + 2 + length > len(extradata):
                raise UnprovenError
            yield extradata[at + 2 : at + 2 + length]
            at += 2 + length
        if group == 0 and at < len(extradata):
            left, at = extradata[at], at + 1


def parse_sequence(bits: Bits) -> tuple[int, SequenceParameterSet]:
    """Return the id and the fields of a sequence parameter set (7.3.2.1.1)."""
    profile, planes = bits.u(8), False
    bits.u(16)
    key = bits.ue()
    if profile in _CHROMA_PROFILES:
        chroma = bits.ue()
        planes = chroma == 3 and bool(bits.u(1))
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):
            for number in range(8 if chroma != 3 else 12):
                if bits.u(1):
                    _skip_scaling(bits, 16 if number < 6 else 64)
    number_bits, order_count_type, order_bits = bits.ue() + 4, bits.ue(), 0
    if order_count_type == 0:
        order_bits = bits.ue() + 4
    elif order_count_type == 1:
        raise UnprovenError
    bits.ue()
    if bits.u(1):  # gaps_in_frame_num_value_allowed_flag
        raise UnprovenError
    bits.ue(), bits.ue()
    frames_only = bool(bits.u(1))
    if not frames_only:
        bits.u(1)
    bits.u(1)
    if bits.u(1):
        for _ in range(4):
            bits.ue()
    max_reordered = _max_reordered_frames(bits) if bits.u(1) else None
    return key, SequenceParameterSet(number_bits, order_count_type, order_bits, frames_only, max_reordered, planes)


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _max_reordered_frames(bits: Bits) -> int | None:
    """Return max_num_reorder_frames of the video usability information (E.1.1), None if it is not given."""
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ue(), bits.ue()
    if bits.u(1):
        bits.u(65)
    hrd_parameters = False
    for _ in range(2):
        if bits.u(1):
            hrd_parameters = True
            count = bits.ue() + 1
            bits.u(8)
            for _ in range(count):
                bits.ue(), bits.ue(), bits.u(1)
            bits.u(20)
    if hrd_parameters:
        bits.u(1)
    bits.u(1)
    if not bits.u(1):
        return None
    bits.u(1)
    for _ in range(4):
        bits.ue()
    return bits.ue()
