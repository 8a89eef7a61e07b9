import hashlib
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of
from stores import alter, flip_within, is_reported_damaged

from mocliplite.store import hdf5, table_file

pytestmark = pytest.mark.usefixtures("folder")


ARRAYS = {
    "ids": np.array(["a", "é", ""]),
    "embedding": np.arange(6, dtype=np.float32).reshape(3, 2),
    "label": np.array([2, 0, 1]),
    "logit_scale": np.array(4.6052),
    "title": np.array("scalar text"),
    "no_rows": np.zeros((0, 7), dtype=np.float32),
    "no_texts": np.array([], dtype=str),
}


def test_a_table_is_read_as_it_was_written():
    table_file.write_table("features/t.h5", "pairs", ARRAYS, {"views": ["plain"], "é": None})
    table = table_file.read_table("features/t.h5", "pairs")
    assert table.settings == {"views": ["plain"], "é": None}
    assert {name: array.tolist() for name, array in table.arrays.items()} == {
        "ids": ["a", "é", ""],
        "embedding": [[0, 1], [2, 3], [4, 5]],
        "label": [2, 0, 1],
        "logit_scale": 4.6052,
        "title": "scalar text",
        "no_rows": [],
        "no_texts": [],
    }
    assert {name: array.dtype.kind for name, array in table.arrays.items()} == {
        name: array.dtype.kind for name, array in ARRAYS.items()
    }
    assert table.arrays["no_rows"].shape == (0, 7)


def test_a_table_has_its_provenance_and_a_digest_of_all_its_bytes():
    digests = set()
    for arrays, settings, provenance in (
        (ARRAYS, {"x": 1}, {"model": "é"}),
        (ARRAYS | {"label": np.array([2, 0, 2])}, {"x": 1}, {"model": "é"}),
        (ARRAYS, {"x": 2}, {"model": "é"}),
        (ARRAYS, {"x": 1}, {"model": "e"}),
    ):
        table_file.write_table("t.h5", "pairs", arrays, settings, provenance)
        table = table_file.read_table("t.h5", "pairs")
        assert (table.settings, table.provenance) == (settings, provenance)
        assert table.digest == hashlib.sha256(Path("t.h5").read_bytes()[512:]).hexdigest()
        digests.add(table.digest)
    assert len(digests) == 4


def test_equal_tables_have_equal_bytes_in_any_order():
    table_file.write_table("a.h5", "pairs", ARRAYS, {"x": 1, "y": 2})
    table_file.write_table("b.h5", "pairs", dict(reversed(ARRAYS.items())), {"y": 2, "x": 1})
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


def test_a_table_of_several_chunks_is_read_as_it_was_written():
    rows = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    table_file.write_table("t.h5", "pairs", {"keyframe": rows}, {})
    assert np.array_equal(table_file.read_table("t.h5", "pairs").arrays["keyframe"], rows)


def test_the_rows_of_one_value_are_read_and_other_arrays_completely(monkeypatch):
    split = np.array(["train", "val", "train"] * 1000)
    rows = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    arrays = {"split": split, "keyframe": rows, "motion": rows, "classes": ARRAYS["ids"]}
    table_file.write_table("t.h5", "pairs", arrays, {"x": 1})
    monkeypatch.setattr(hdf5, "_CHUNKS_OF_PART", 1)
    table = table_file.read_rows("t.h5", "pairs", ("split", "val"), ("keyframe", "split"), ("classes", "prompts"))
    assert table.arrays.keys() == {"keyframe", "split", "classes"}
    assert np.array_equal(table.arrays["keyframe"], rows[1::3])
    assert set(table.arrays["split"].tolist()) == {"val"}
    assert table.arrays["classes"].tolist() == ["a", "é", ""]
    whole = table_file.read_table("t.h5", "pairs")
    assert (table.settings, table.digest) == (whole.settings, whole.digest)


def test_a_missing_table():
    wanted = "t.h5 does not exist; run `dvc pull t.h5` or `dvc repro`."
    assert sentence_of(table_file.read_table, "t.h5", "pairs") == wanted


def test_a_table_of_another_kind():
    table_file.write_table("t.h5", "prompts", ARRAYS, {})
    assert sentence_of(table_file.read_table, "t.h5", "pairs") == "t.h5 contains prompts, not pairs; check the path."


def test_a_table_of_another_schema():
    table_file.write_table("t.h5", "pairs", ARRAYS, {})
    alter("t.h5", schema=99)
    wanted = f"t.h5 has schema 99, this version reads {hdf5.SCHEMA}; write it again with `dvc repro -f`."
    assert sentence_of(table_file.read_table, "t.h5", "pairs") == wanted


def test_a_truncated_table():
    table_file.write_table("t.h5", "pairs", {"label": np.arange(5)}, {})
    whole = Path("t.h5").read_bytes()
    for length in range(0, len(whole), 97):
        Path("t.h5").write_bytes(whole[:length])
        assert is_reported_damaged("t.h5", table_file.read_table, "t.h5", "pairs")
    assert len(whole) > 10 * 97


@pytest.mark.parametrize("name", ["embedding", "label", "ids"])
def test_a_flipped_bit_in_a_table(name):
    arrays = {"embedding": np.array([1.25, 3.5]), "label": np.array([77, 99])}
    table_file.write_table("t.h5", "pairs", {**arrays, "ids": np.array(["an id"])}, {})
    flip_within(Path("t.h5"), arrays[name].tobytes() if name in arrays else b"an id")
    assert is_reported_damaged("t.h5", table_file.read_table, "t.h5", "pairs")


def test_settings_that_are_not_json():
    table_file.write_table("t.h5", "pairs", ARRAYS, {})
    alter("t.h5", settings="{")
    assert is_reported_damaged("t.h5", table_file.read_table, "t.h5", "pairs")


def test_an_interrupted_table_leaves_the_old_one_and_nothing_else(monkeypatch):
    table_file.write_table("t.h5", "pairs", {"label": np.arange(3)}, {})
    before = Path("t.h5").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        table_file.write_table("t.h5", "pairs", {"label": np.arange(4)}, {})
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == {"t.h5": before}
