"""Field pictures of MPEG-2, found in the headers without decoding."""

from collections.abc import Iterable

# Start code of an extension. In a picture coding extension, the upper half of the next byte is 8, and the last two bits
# of the third byte are picture_structure, 3 for a frame picture.
_EXTENSION = b"\x00\x00\x01\xb5"
_FRAME = 3


def has_fields(packets: Iterable[object]) -> bool:
    """Return whether any picture is coded as a single field."""
    for packet in packets:
        content = bytes(packet)  # type: ignore[call-overload]
        at = content.find(_EXTENSION)
        while 0 <= at < len(content) - 6:
            if content[at + 4] >> 4 == 8 and content[at + 6] & 3 != _FRAME:
                return True
            at = content.find(_EXTENSION, at + 4)
    return False
