"""Frame types and display order of H.264, from its headers without decoding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mocliplite.video.h264_syntax import (
    Bits,
    SequenceParameterSet,
    UnprovenError,
    parameter_sets,
    parse_sequence,
    units,
)

_SLICE, _IDR, _SEQUENCE, _PARAMETERS = 1, 5, 7, 8  # nal_unit_type
_PARTITIONS = (2, 3, 4)
_SLICE_TYPES = "PBI"
_HEADER_BYTES = 48  # bytes that contain the parsed part of a slice header


@dataclass(frozen=True)
class Picture:
    """A frame as described by the header of its first slice."""

    frame_type: str  # "I", "P" or "B"
    idr: bool
    idr_number: int  # index of the last IDR picture
    order_count: int  # picture order count since the last IDR picture

    @property
    def position(self) -> tuple[int, int]:
        """Key for sorting pictures in display order."""
        return self.idr_number, self.order_count


def is_reference(packet: bytes, extradata: bytes | None) -> bool:
    """Return whether a picture may be a reference of others: nal_ref_idc of its first slice is not 0.

    extradata: the decoder configuration record of MP4 and Matroska, which store the length before each unit; None or
    a byte stream for other containers.
    """
    for unit in units(packet, extradata):
        if unit[0] & 0x1F in (_SLICE, 2, _IDR):
            return unit[0] >> 5 & 3 > 0
    return True


def read_pictures(packets: Iterable[bytes], extradata: bytes | None) -> list[Picture] | None:
    """Return the picture of each packet, or None if the headers do not prove that each packet decodes to one frame.

    The proof holds for a stream that begins with an IDR picture, has complete frames only and no gap in frame_num, and
    does not reorder more frames than its header declares.
    """
    try:
        return _read_pictures(packets, extradata)
    except UnprovenError:
        return None


def _read_pictures(packets: Iterable[bytes], extradata: bytes | None) -> list[Picture]:
    parser = _StreamParser(extradata)
    parsed = [parser.picture(packet) for packet in packets]
    if not parsed[0].idr:
        raise UnprovenError
    depth = _reorder_depth(parsed)
    if depth and (parser.max_reordered is None or depth > parser.max_reordered):
        raise UnprovenError
    return parsed


def _reorder_depth(parsed: Sequence[Picture]) -> int:
    """Return the largest number of frames that precede a frame in decoding order and follow it in display order."""
    depth = 0
    later: list[tuple[int, int]] = []
    for picture in parsed:
        later = [position for position in later if position > picture.position]
        depth = max(depth, len(later))
        later.append(picture.position)
    return depth


class _StreamParser:
    """Parser of the headers of a stream, packet by packet."""

    def __init__(self, extradata: bytes | None) -> None:
        self._extradata = extradata
        self._sequences: dict[int, SequenceParameterSet] = {}
        self._pictures: dict[int, int] = {}  # id of the sequence parameter set by id of the picture parameter set
        self.max_reordered: int | None = None
        self._idr_number, self._order_high, self._order_low = -1, 0, 0
        self._frame_number = 0  # frame_num of the last reference picture
        for unit in parameter_sets(extradata):
            self._read_parameter_set(unit)

    def picture(self, packet: bytes) -> Picture:
        """Return the only picture of a packet."""
        first = None
        for unit in units(packet, self._extradata):
            unit_type = unit[0] & 0x1F
            if unit_type in (_SEQUENCE, _PARAMETERS):
                self._read_parameter_set(unit)
            elif unit_type in _PARTITIONS:
                raise UnprovenError
            elif unit_type in (_SLICE, _IDR) and len(unit) > 1 and unit[1] & 0x80:  # first_mb_in_slice is 0
                if first is not None:
                    raise UnprovenError
                first = self._slice(unit)
        if first is None:
            raise UnprovenError
        return first

    def _read_parameter_set(self, unit: bytes) -> None:
        bits = Bits(unit[1:])
        if unit[0] & 0x1F == _SEQUENCE:
            key, sequence = parse_sequence(bits)
            if self._sequences.get(key, sequence) != sequence or not sequence.frames_only:
                raise UnprovenError
            self._sequences[key] = sequence
            self.max_reordered = sequence.max_reordered
        elif unit[0] & 0x1F == _PARAMETERS:
            key = bits.ue()
            self._pictures[key] = bits.ue()
            bits.u(2)  # a set that is cut off here is not used

    def _slice(self, unit: bytes) -> Picture:
        bits, reference, idr = Bits(unit[1:_HEADER_BYTES]), unit[0] >> 5 & 3 > 0, unit[0] & 0x1F == _IDR
        bits.ue()
        slice_type = bits.ue() % 5
        sequence = self._sequences.get(self._pictures.get(bits.ue(), -1))
        if sequence is None or slice_type >= len(_SLICE_TYPES) or sequence.separate_planes:
            raise UnprovenError
        self._check_frame_number(bits.u(sequence.frame_number_bits), reference, idr, 1 << sequence.frame_number_bits)
        if idr:
            bits.ue()
        order_count = self._picture_order_count(bits, sequence, reference, idr)
        return Picture(_SLICE_TYPES[slice_type], idr, self._idr_number, order_count)

    def _check_frame_number(self, number: int, reference: bool, idr: bool, modulus: int) -> None:
        """Check by frame_num that no frame is missing before this one."""
        if idr:
            self._idr_number += 1
            consecutive = number == 0
        else:
            consecutive = number in (self._frame_number, (self._frame_number + 1) % modulus)
        if not consecutive:
            raise UnprovenError
        if reference:
            self._frame_number = number

    def _picture_order_count(self, bits: Bits, sequence: SequenceParameterSet, reference: bool, idr: bool) -> int:
        """Return the picture order count (8.2.1)."""
        if sequence.order_count_type == 2:  # display order is decoding order
            self._order_low = 0 if idr else self._order_low + 1
            return self._order_low
        if sequence.order_count_type == 1:
            raise UnprovenError
        if idr:
            self._order_high = self._order_low = 0
        modulus = 1 << sequence.order_bits
        low, high = bits.u(sequence.order_bits), self._order_high
        if low < self._order_low and self._order_low - low >= modulus // 2:
            high += modulus
        elif low > self._order_low and low - self._order_low > modulus // 2:
            high -= modulus
        if reference:
            self._order_high, self._order_low = high, low
        return high + low
