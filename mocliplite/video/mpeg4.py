"""Number, frame types and order of the pictures of MPEG-4 Part 2, without decoding."""

from collections.abc import Iterable, Sequence

# Start code of a picture (VOP). The first two bits of the next byte are its type.
_START_CODE = b"\x00\x00\x01\xb6"
_VOP_TYPES = "IPBP"  # the last one is S, a P-picture with global motion compensation
# XviD writes placeholders, pictures "not coded" of 6 or 7 bytes, which are not frames.
_NOT_CODED = 8


Pictures = list[tuple[str, int]]  # frame type and size in bytes of each picture in a packet


def read_pictures(packets: Iterable[bytes]) -> list[Pictures]:
    """Return the pictures of each packet."""
    return [_pictures(packet) for packet in packets]


def frame_types(packets: Iterable[Pictures]) -> str | None:
    """Return the frame types of a clip in display order, "I", "P" or "B" each; None if they are not certain.

    With packed B-frames, a packet contains a P- and a B-picture, and a later packet a picture "not coded", so that
    there are as many packets as frames. Each coded picture is one frame here.
    """
    coded, waiting = "", 0
    for packet in packets:
        for frame_type, size in packet:
            if size > _NOT_CODED:
                coded, waiting = coded + frame_type, waiting + 1
            elif frame_type == "B":
                return None
        waiting = max(0, waiting - 1)
    # libavcodec decodes one picture per packet: pictures still waiting after the last packet are never output.
    coded = coded[: len(coded) - waiting]
    # Decoders drop B-pictures if one of the two references is missing.
    return None if "B" in coded[:2] else in_display_order(coded)


def coded_frame_types(packets: Iterable[Pictures]) -> str | None:
    """Return the frame types in decoding order; None if a packet does not contain exactly one picture."""
    coded = ""
    for packet in packets:
        if len(packet) != 1 or packet[0][1] <= _NOT_CODED:
            return None
        coded += packet[0][0]
    return coded


def _pictures(packet: bytes) -> Pictures:
    found: Pictures = []
    at = packet.find(_START_CODE)
    while at >= 0:
        end = packet.find(_START_CODE, at + 4)
        frame_type = _VOP_TYPES[packet[at + 4] >> 6] if at + 4 < len(packet) else ""
        found.append((frame_type, (len(packet) if end < 0 else end) - at))
        at = end
    return found


def in_display_order(coded: str) -> str:
    """Return frame types in display order, given those in decoding order: B-pictures precede their future reference."""
    return "".join(coded[number] for number in display_order(coded))


def display_order(coded: Sequence[str]) -> list[int]:
    """Return the decoding position of each frame in display order, given the frame types in decoding order."""
    displayed: list[int] = []
    pending: list[int] = []
    for number, frame_type in enumerate(coded):
        if frame_type == "B":
            displayed.append(number)
        else:
            displayed += pending
            pending = [number]
    return displayed + pending
