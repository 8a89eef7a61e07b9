"""What coded pictures of MPEG-4 Part 2 say without being decoded: how many there are, their kinds and their order."""

from collections.abc import Iterable, Sequence

# A picture (VOP) begins so; its kind is in the first two bits of the next byte.
_PICTURE = b"\x00\x00\x01\xb6"
_KINDS = "IPBP"  # the last is S, a P-picture with global motion
# XviD fills up its files with pictures "not coded" of 6 or 7 bytes, which stand for no frame.
_NOT_CODED = 8


def kinds(packets: Iterable[bytes]) -> str | None:
    """Kinds of a clip's pictures in display order, I, P and B; None where they cannot be told for certain.

    A file may pack a P- and a B-picture into one packet and let a picture "not coded" follow, to keep the count of
    packets equal to that of frames: each picture counts once here.
    """
    coded, waiting = "", 0
    for packet in packets:
        for kind, size in _pictures(packet):
            if size > _NOT_CODED:
                coded, waiting = coded + kind, waiting + 1
            elif kind == "B":
                return None
        waiting = max(0, waiting - 1)
    # libavcodec decodes one picture a packet: those that wait when there is no packet more never come.
    coded = coded[: len(coded) - waiting]
    # Decoders drop B-pictures that lack one of their two references.
    return None if "B" in coded[:2] else in_display_order(coded)


def single(packets: Iterable[bytes]) -> str | None:
    """Kinds in order of decoding where each packet holds one picture; None where one holds two, or none."""
    coded = ""
    for packet in packets:
        found = _pictures(packet)
        if len(found) != 1 or found[0][1] <= _NOT_CODED:
            return None
        coded += found[0][0]
    return coded


def _pictures(packet: bytes) -> list[tuple[str, int]]:
    """Kind and bytes of each picture in a packet."""
    found, at = [], packet.find(_PICTURE)
    while at >= 0:
        end = packet.find(_PICTURE, at + 4)
        kind = _KINDS[packet[at + 4] >> 6] if at + 4 < len(packet) else ""
        found.append((kind, (len(packet) if end < 0 else end) - at))
        at = end
    return found


def in_display_order(coded: str) -> str:
    """Kinds in display order for kinds in coded order: B-pictures are shown before the picture that they follow."""
    return "".join(coded[number] for number in display_order(coded))


def display_order(coded: Sequence[str]) -> list[int]:
    """Of each frame in display order its place in the order of decoding, for kinds in that order."""
    shown: list[int] = []
    held: list[int] = []
    for number, kind in enumerate(coded):
        if kind == "B":
            shown.append(number)
        else:
            shown += held
            held = [number]
    return shown + held


def coded_order(shown: Sequence[str]) -> list[int]:
    """For kinds in display order, each frame's place in the order of decoding, as display_order undoes it."""
    coded: list[int] = []
    waiting: list[int] = []
    for place, kind in enumerate(shown):
        if kind == "B":
            waiting.append(place)
        else:
            coded += [place, *waiting]
            waiting = []
    order = [0] * len(shown)
    for count, place in enumerate(coded + waiting):
        order[place] = count
    return order
