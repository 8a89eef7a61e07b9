import pytest
from stores import IDS, KINDS, build, record

from mocliplite.store import schema
from mocliplite.store.info import describe

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_info_describes_kind_clips_settings_stage_and_failures(kind):
    build("s", kind, failed=["clip03"])
    description = describe("s")
    for line in (
        f"kind        {kind}",
        "29 clips",
        "1 failures",
        f"in {schema.SHARDS[kind]} shards",
        f"stage {schema.STAGES[kind]}",
        'settings    {"cell_size": 8, "views": ["plain"]}',
        "failure     clip03: clip03 has no frames.",
    ):
        assert line in description


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("motion", "per clip    vectors int8 [T, rows, cols, 2]"),
        ("keyframes", "per clip    embedding float32 [2, 4]"),
        ("keyframes", "per clip    frames int64"),
    ],
)
def test_info_tells_what_a_clip_has(kind, line):
    build("s", kind)
    assert f"  {line}" in describe("s").splitlines()


def test_info_of_a_motion_store_has_frames_and_sizes():
    build("s", "motion")
    total = sum(len(record("motion", key).arrays["kind"]) for key in IDS)
    assert f"30 clips, {total} frames, 0 failures" in describe("s")
    assert "64x48: 30 clips" in describe("s")
