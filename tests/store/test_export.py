import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders import sentence_of
from stores import IDS, KINDS, build, record

from mocliplite.store.export import export_store

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_an_exported_npz_has_every_value_and_the_same_bytes_each_time(kind):
    build("s", kind, failed=["clip03"])
    path = export_store("s", "npz")
    first = path.read_bytes()
    with np.load(path) as exported:
        assert exported["ids"].tolist() == [key for key in IDS if key != "clip03"]
        for row, key in enumerate(exported["ids"].tolist()):
            for name, array in record(kind, key).arrays.items():
                found = exported[f"{key}/{name}"] if kind == "motion" else exported[name][row]
                assert found.dtype == array.dtype
                assert found.tolist() == array.tolist()
    assert export_store("s", "npz").read_bytes() == first


@every_kind
def test_an_exported_parquet_has_every_value(kind):
    build("s", kind, failed=["clip03"])
    rows = {row["id"]: row for row in pq.read_table(export_store("s", "parquet")).to_pylist()}
    assert sorted(rows) == [key for key in IDS if key != "clip03"]
    for key, row in rows.items():
        for name, array in record(kind, key).arrays.items():
            assert row[name] == (array.reshape(-1).tolist() if array.ndim else array.item())
            if kind == "motion":
                assert row[f"{name}_shape"] == list(array.shape)
    if kind == "motion":
        assert (rows["clip07"]["fps"], rows["clip07"]["codec"]) == (29.97, "mpeg4")


@pytest.mark.parametrize("format_", ["npz", "parquet"])
def test_a_file_in_a_folder_whose_name_is_not_utf_8_is_written(format_):
    build("s", "keyframes")
    folder = Path(os.fsdecode(b"\xff"))
    folder.mkdir()
    assert export_store("s", format_, folder / "out").stat().st_size > 0


def test_a_single_file_cannot_be_exported():
    Path("pairs.h5").write_bytes(b"")
    wanted = "pairs.h5 is a file; give a store: a folder of shards such as features/keyframes."
    assert sentence_of(export_store, "pairs.h5", "npz") == wanted


def test_an_empty_store_cannot_be_exported_to_parquet():
    build("s", "motion", [])
    assert sentence_of(export_store, "s", "parquet") == "s has no clips to export."
