"""Error of the fields of scenes with known motion at every pixel."""

import numpy as np
import pytest

from benchmarks.scenes import SCENES, encode
from benchmarks.truth import PLAIN, X264_DEFAULTS, errors
from mocliplite.motion import extraction
from mocliplite.motion.field import KIND_CODES, MISSING

BOUND = 0.25  # pixels per frame interval: the resolution of a field, and half of that of MPEG-4


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(
    ("codec", "options", "patterns"),
    [
        ("mpeg4", {}, [(12, 2), (12, 3), (250, 0), (250, 1)]),
        ("libx264", {}, [(12, 2), (12, 3), (250, 0), (250, 1)]),
        ("libx264", X264_DEFAULTS, [(250, 3)]),
    ],
    ids=["mpeg4", "x264", "x264 with default references"],
)
def test_median_error_is_at_most_a_quarter_pixel(name, codec, options, patterns, tmp_path):
    scene = SCENES[name]()
    for gop, b_frames in patterns:
        path = encode(tmp_path / "a.mkv", scene.pictures, codec, gop, b_frames, **options)
        error, known = errors(extraction.motion_field(path, PLAIN), scene)
        assert len(error) > 300
        assert known > 0.95
        assert np.median(error) <= BOUND, (gop, b_frames)
        assert (error > 1).mean() < 0.1, (gop, b_frames)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("name", ["zoom", "rotation", "half pixels"])
def test_fields_with_and_without_b_frames_agree(name, codec, tmp_path):
    pictures = SCENES[name]().pictures
    plain, other = (
        extraction.motion_field(encode(tmp_path / f"{b}.mkv", pictures, codec, 250, b), PLAIN) for b in (0, 2)
    )
    both = (plain.kind == KIND_CODES["P"]) & np.isin(other.kind, [KIND_CODES["P"], KIND_CODES["B"]])
    assert both.sum() >= 6
    one, two = (field.vectors[both, 2:-2, 2:-2].astype(int) for field in (plain, other))
    known = (one != MISSING) & (two != MISSING)
    assert np.median(np.abs(one - two)[known]) <= 1
    assert (np.abs(one - two)[known] > 4).mean() < 0.02
