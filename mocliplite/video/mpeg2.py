"""What the headers of MPEG-2 say of pictures without decoding them."""

from collections.abc import Iterable

# The picture coding extension begins so, and the first half of the next byte is 8; its picture_structure is in the
# last two bits of the byte two further on: 3 for a whole frame.
_EXTENSION = b"\x00\x00\x01\xb5"
_FRAME = 3


def has_fields(packets: Iterable[object]) -> bool:
    """Whether any picture is coded as a single field."""
    for packet in packets:
        content = bytes(packet)  # type: ignore[call-overload]
        at = content.find(_EXTENSION)
        while 0 <= at < len(content) - 6:
            if content[at + 4] >> 4 == 8 and content[at + 6] & 3 != _FRAME:
                return True
            at = content.find(_EXTENSION, at + 4)
    return False
