"""What the coded pictures say without being decoded: kinds, order, and who is a reference."""

from collections.abc import Iterable, Sequence

# In MPEG-4 Part 2 a picture (VOP) begins so; its kind is in the first two bits of the next byte.
_PICTURE = b"\x00\x00\x01\xb6"
_KINDS = "IPBP"  # the last is S, a P-picture with global motion
# XviD fills up its files with pictures "not coded" of 6 or 7 bytes, which stand for no frame.
_NOT_CODED = 8
# In H.264's stream of bytes a unit begins so.
_UNIT = b"\x00\x00\x01"
_SLICES = (1, 2, 5)  # types of units that hold a part of a picture


def mpeg4_kinds(packets: Iterable[bytes]) -> str | None:
    """Kinds of a clip's pictures in display order, I, P and B; None where they cannot be told for certain.

    A file may pack a P- and a B-picture into one packet and let a picture "not coded" follow, to keep the count of
    packets equal to that of frames: each picture counts once here.
    """
    coded, waiting = "", 0
    for packet in packets:
        at = packet.find(_PICTURE)
        while at >= 0:
            end = packet.find(_PICTURE, at + 4)
            kind = _KINDS[packet[at + 4] >> 6] if at + 4 < len(packet) else ""
            if (len(packet) if end < 0 else end) - at > _NOT_CODED:
                coded, waiting = coded + kind, waiting + 1
            elif kind == "B":
                return None
            at = end
        waiting = max(0, waiting - 1)
    # libavcodec decodes one picture a packet: those that wait when there is no packet more never come.
    coded = coded[: len(coded) - waiting]
    # Decoders drop B-pictures that lack one of their two references.
    return None if "B" in coded[:2] else in_display_order(coded)


def in_display_order(coded: str) -> str:
    """Kinds in display order for kinds in coded order: B-pictures are shown before the picture that they follow."""
    shown, held = "", ""
    for kind in coded:
        if kind == "B":
            shown += kind
        else:
            shown, held = shown + held, kind
    return shown + held


def coded_order(kinds: Sequence[str]) -> list[int]:
    """For kinds in display order, each frame's place in the order of decoding, as in_display_order undoes it."""
    coded: list[int] = []
    waiting: list[int] = []
    for place, kind in enumerate(kinds):
        if kind == "B":
            waiting.append(place)
        else:
            coded += [place, *waiting]
            waiting = []
    order = [0] * len(kinds)
    for count, place in enumerate(coded + waiting):
        order[place] = count
    return order


def h264_reference(packet: bytes, extradata: bytes | None) -> bool:
    """Whether other pictures may refer to this one of H.264: nal_ref_idc of its first slice.

    extradata is the decoder configuration of MP4 and Matroska, in which units carry their length; None or a stream
    of bytes elsewhere.
    """
    for head in _units(packet, extradata):
        if head & 0x1F in _SLICES:
            return head >> 5 & 3 > 0
    return True


def _units(packet: bytes, extradata: bytes | None) -> Iterable[int]:
    """The first byte of each unit of H.264."""
    if extradata and extradata[0] == 1 and len(extradata) > 4:
        size, at = (extradata[4] & 3) + 1, 0
        while at + size < len(packet):
            yield packet[at + size]
            at += size + int.from_bytes(packet[at : at + size], "big")
    else:
        at = packet.find(_UNIT)
        while 0 <= at < len(packet) - 3:
            yield packet[at + 3]
            at = packet.find(_UNIT, at + 3)
