"""Units of H.264 streams."""

from mocliplite.video.h264 import is_reference
from mocliplite.video.h264_syntax import units

START = b"\0\0\1"


def test_a_start_code_that_follows_another_begins_no_empty_unit():
    packet = START + START + b"\x65\x88" + START
    assert list(units(packet, None)) == [b"\x65\x88"]
    assert is_reference(packet, None)
