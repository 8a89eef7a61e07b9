"""What the headers of H.264 say of pictures without decoding them (ITU-T H.264, 7.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# In a stream of bytes a unit begins so.
_UNIT = b"\x00\x00\x01"
_SLICE, _IDR, _SEQUENCE, _PARAMETERS = 1, 5, 7, 8  # types of units
_PARTITIONS = (2, 3, 4)
_KINDS = "PBI"
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles whose header has chroma_format_idc
_HEAD = 48  # bytes in which a slice's header lies as far as it is read


@dataclass(frozen=True)
class Picture:
    """What the first slice's header says of a frame."""

    kind: str  # "I", "P" or "B"
    idr: bool
    period: int  # how many IDR pictures came so far
    count: int  # picture order count within the period


@dataclass(frozen=True)
class _Sequence:
    """A sequence parameter set, as far as it is needed."""

    frame_number_bits: int
    order_type: int
    order_bits: int
    frames_only: bool
    reorder: int | None  # frames that may come before one and be shown after it; None where not said
    separate_planes: bool


class _UnprovenError(Exception):
    """The stream has something that the headers do not settle."""


class _Bits:
    """Reads bits, the emulation prevention bytes left out."""

    def __init__(self, unit: bytes) -> None:
        plain = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def take(self, count: int) -> int:
        """An unsigned number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise _UnprovenError
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """An Exp-Golomb number."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise _UnprovenError
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb number."""
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def is_reference(packet: bytes, extradata: bytes | None) -> bool:
    """Whether other pictures may refer to this one: nal_ref_idc of its first slice.

    extradata is the decoder configuration of MP4 and Matroska, in which units carry their length; None or a stream
    of bytes elsewhere.
    """
    for unit in units(packet, extradata):
        if unit[0] & 0x1F in (_SLICE, 2, _IDR):
            return unit[0] >> 5 & 3 > 0
    return True


def units(packet: bytes, extradata: bytes | None) -> Iterator[bytes]:
    """The units of a packet, none of them empty, each with its first bytes at least."""
    if extradata and extradata[0] == 1 and len(extradata) > 4:
        size, at = (extradata[4] & 3) + 1, 0
        while at + size < len(packet):
            length = int.from_bytes(packet[at : at + size], "big")
            if length:
                yield packet[at + size : at + size + length]
            at += size + length
    else:
        at = packet.find(_UNIT)
        while 0 <= at < len(packet) - 3:
            after = packet.find(_UNIT, at + 3)
            yield packet[at + 3 : after if after >= 0 else len(packet)]
            at = after


def pictures(packets: Sequence[bytes], extradata: bytes | None) -> list[Picture] | None:
    """The picture of each packet; None unless the headers prove that each packet decodes to one frame.

    That is so for a stream that begins with an IDR picture, has whole frames only, no gap in their numbers, and no more
    frames out of order than its header allows.
    """
    try:
        return _pictures(packets, extradata)
    except _UnprovenError:
        return None


def _pictures(packets: Sequence[bytes], extradata: bytes | None) -> list[Picture]:
    reader = _Reader(extradata)
    found = [reader.picture(packet) for packet in packets]
    if not found[0].idr:
        raise _UnprovenError
    depth = _reordered(found)
    if depth and (reader.reorder is None or depth > reader.reorder):
        raise _UnprovenError
    return found


def _reordered(found: Sequence[Picture]) -> int:
    """The most frames that come before one in the file and are shown after it."""
    most = 0
    waiting: list[tuple[int, int]] = []
    for picture in found:
        place = picture.period, picture.count
        waiting = [other for other in waiting if other > place]
        most = max(most, len(waiting))
        waiting.append(place)
    return most


class _Reader:
    """Follows the stream from packet to packet."""

    def __init__(self, extradata: bytes | None) -> None:
        self._extradata = extradata
        self._sequences: dict[int, _Sequence] = {}
        self._parameters: dict[int, tuple[int, bool]] = {}  # sequence, and whether slices tell of a second field
        self.reorder: int | None = None
        self._period, self._high, self._low = -1, 0, 0
        self._number = 0  # frame_num of the last reference
        for unit in _configured(extradata):
            self._configure(unit)

    def picture(self, packet: bytes) -> Picture:
        """The one picture in a packet."""
        first = None
        for unit in units(packet, self._extradata):
            kind = unit[0] & 0x1F
            if kind in (_SEQUENCE, _PARAMETERS):
                self._configure(unit)
            elif kind in _PARTITIONS:
                raise _UnprovenError
            elif kind in (_SLICE, _IDR) and len(unit) > 1 and unit[1] & 0x80:  # its first macroblock is 0
                if first is not None:
                    raise _UnprovenError
                first = self._slice(unit)
        if first is None:
            raise _UnprovenError
        return first

    def _configure(self, unit: bytes) -> None:
        bits = _Bits(unit[1:])
        if unit[0] & 0x1F == _SEQUENCE:
            key, sequence = _sequence(bits)
            if self._sequences.get(key, sequence) != sequence or not sequence.frames_only:
                raise _UnprovenError
            self._sequences[key] = sequence
            self.reorder = sequence.reorder
        elif unit[0] & 0x1F == _PARAMETERS:
            key, sequence_key = bits.ue(), bits.ue()
            bits.take(1)
            self._parameters[key] = sequence_key, bool(bits.take(1))

    def _slice(self, unit: bytes) -> Picture:
        bits, reference, idr = _Bits(unit[1:_HEAD]), unit[0] >> 5 & 3 > 0, unit[0] & 0x1F == _IDR
        bits.ue()
        kind = bits.ue() % 5
        key, _ = self._parameters.get(bits.ue(), (-1, False))
        sequence = self._sequences.get(key)
        if sequence is None or kind >= len(_KINDS) or sequence.separate_planes:
            raise _UnprovenError
        self._follow(bits.take(sequence.frame_number_bits), reference, idr, 1 << sequence.frame_number_bits)
        if idr:
            bits.ue()
        return Picture(_KINDS[kind], idr, self._period, self._order(bits, sequence, reference, idr))

    def _follow(self, number: int, reference: bool, idr: bool, modulus: int) -> None:
        """Check that no frame is missing before this one."""
        if idr:
            self._period += 1
            holds = number == 0
        else:
            holds = number in (self._number, (self._number + 1) % modulus)
        if not holds:
            raise _UnprovenError
        if reference:
            self._number = number

    def _order(self, bits: _Bits, sequence: _Sequence, reference: bool, idr: bool) -> int:
        """Picture order count (8.2.1)."""
        if sequence.order_type == 2:  # in the order of decoding
            self._low = 0 if idr else self._low + 1
            return self._low
        if sequence.order_type == 1:
            raise _UnprovenError
        if idr:
            self._high = self._low = 0
        modulus = 1 << sequence.order_bits
        low, high = bits.take(sequence.order_bits), self._high
        if low < self._low and self._low - low >= modulus // 2:
            high += modulus
        elif low > self._low and low - self._low > modulus // 2:
            high -= modulus
        if reference:
            self._high, self._low = high, low
        return high + low


def _configured(extradata: bytes | None) -> Iterator[bytes]:
    """Parameter sets of a decoder configuration (ISO/IEC 14496-15), or of a stream of bytes."""
    if not extradata:
        return
    if extradata[0] != 1:
        yield from units(extradata, None)
        return
    if len(extradata) < 7:
        raise _UnprovenError
    at, left = 6, extradata[5] & 0x1F
    for group in range(2):
        for _ in range(left):
            length = int.from_bytes(extradata[at : at + 2], "big")
            if not length or at + 2 + length > len(extradata):
                raise _UnprovenError
            yield extradata[at + 2 : at + 2 + length]
            at += 2 + length
        if group == 0 and at < len(extradata):
            left, at = extradata[at], at + 1


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """A sequence parameter set's id, and what it says (7.3.2.1.1)."""
    profile, planes = bits.take(8), False
    bits.take(16)
    key = bits.ue()
    if profile in _HIGH:
        chroma = bits.ue()
        planes = chroma == 3 and bool(bits.take(1))
        bits.ue(), bits.ue(), bits.take(1)
        if bits.take(1):
            for number in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    _skip_scaling(bits, 16 if number < 6 else 64)
    number_bits, order_type, order_bits = bits.ue() + 4, bits.ue(), 0
    if order_type == 0:
        order_bits = bits.ue() + 4
    elif order_type == 1:
        raise _UnprovenError
    bits.ue()
    if bits.take(1):  # gaps in frame_num are allowed
        raise _UnprovenError
    bits.ue(), bits.ue()
    frames_only = bool(bits.take(1))
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        for _ in range(4):
            bits.ue()
    reorder = _reorder(bits) if bits.take(1) else None
    return key, _Sequence(number_bits, order_type, order_bits, frames_only, reorder, planes)


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _reorder(bits: _Bits) -> int | None:
    """max_num_reorder_frames of the usability information (E.1.1), None where it has none."""
    if bits.take(1) and bits.take(8) == 255:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.ue(), bits.ue()
    if bits.take(1):
        bits.take(65)
    traffic = False
    for _ in range(2):
        if bits.take(1):
            traffic = True
            count = bits.ue() + 1
            bits.take(8)
            for _ in range(count):
                bits.ue(), bits.ue(), bits.take(1)
            bits.take(20)
    if traffic:
        bits.take(1)
    bits.take(1)
    if not bits.take(1):
        return None
    bits.take(1)
    for _ in range(4):
        bits.ue()
    return bits.ue()
