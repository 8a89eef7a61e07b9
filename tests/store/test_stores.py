import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import put, run_python, sentence_of
from stores import (
    IDS,
    KINDS,
    SETTINGS,
    SIZE,
    alter,
    build,
    bytes_of,
    failure_of,
    flip,
    flip_within,
    is_reported_damaged,
    neighbour_of,
    record,
    shard_of,
    values,
)

from mocliplite.csv_files import read_rows
from mocliplite.store import hdf5, layout, schema, shards, stores, table_file, update

pytestmark = pytest.mark.usefixtures("folder", "few_shards")

SHARD_COUNTS = dict(schema.SHARDS)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_embedding_kind = pytest.mark.parametrize("kind", KINDS[1:])


def expected_values(kind, ids):
    return [{name: array.tolist() for name, array in record(kind, key).arrays.items()} for key in ids]


# All kinds of stores


@every_kind
def test_arrays_are_read_in_the_requested_order(kind):
    build("s", kind, IDS)
    order = ["clip07", "clip29", "clip00", "clip13"]
    assert values(stores.open_store("s"), order) == expected_values(kind, order)


@every_kind
def test_an_open_store_has_ids_failures_settings_and_fingerprints(kind):
    build("s", kind, reversed(IDS), failed=["clip03"])
    opened = stores.open_store("s")
    assert opened.ids == [key for key in IDS if key != "clip03"]
    assert opened.failures == {"clip03": failure_of("clip03")}
    assert (opened.kind, opened.settings, opened.path) == (kind, SETTINGS, Path("s"))
    assert opened.fingerprints == dict.fromkeys(IDS, shards.fingerprint("v1", {}))


@every_embedding_kind
def test_no_clips_have_no_rows(kind):
    build("s", kind, IDS)
    opened = stores.open_store("s")
    assert (opened.read([]).shape, opened.read([]).dtype) == ((0, 2, 4), np.float32)
    assert opened.read([], "frames").shape == (0,)


@every_embedding_kind
def test_a_store_where_every_clip_failed_has_no_rows(kind):
    build("s", kind, IDS, failed=IDS)
    assert len(stores.open_store("s").read([])) == 0


@every_kind
def test_an_open_store_has_its_provenance(kind):
    for path in layout.shard_paths("s", kind, schema.SHARDS[kind]):
        shards.write_shard(path, kind, SETTINGS, shards.Shard(provenance={"model": "é"}))
    assert (stores.open_store("s").settings, stores.open_store("s").provenance) == (SETTINGS, {"model": "é"})


@every_kind
def test_the_same_clips_give_the_same_bytes_in_any_order_and_at_any_time(kind):
    build("a", kind, IDS, failed=["clip03"])
    time.sleep(1.05)  # HDF5 timestamps have a resolution of one second
    build("b", kind, reversed(IDS), settings=dict(reversed(SETTINGS.items())), failed=["clip03"])
    assert bytes_of("a") == bytes_of("b")


@every_kind
def test_every_shard_exists_even_if_it_is_empty(kind, monkeypatch):
    monkeypatch.setattr(schema, "SHARDS", SHARD_COUNTS)
    build("s", kind, ["clip"])
    names = [f"{number:04d}.h5" for number in range(64 if kind == "motion" else 16)]
    assert sorted(bytes_of("s")) == [*names, "README.md", "failures.csv"]


@every_kind
def test_a_store_without_clips_opens(kind):
    build("s", kind, [])
    assert stores.open_store("s").ids == []


@every_kind
def test_only_new_clips_are_computed_and_only_their_shards_are_written(kind):
    build("s", kind, IDS)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("s").glob("*.h5")}
    assert build("s", kind, [*IDS, "another"]) == ["another"]
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("s").glob("*.h5")}
    assert {name for name in after if after[name] != before[name]} == {shard_of("another", kind).name}


@every_kind
def test_an_updated_store_has_the_same_bytes_as_a_new_one(kind):
    build("updated", kind, [*IDS[:20], "removed"], content="v0", failed=["clip03"])
    build("updated", kind, IDS[10:], content="v1")
    build("updated", kind, IDS, content="v1", failed=["clip03"])
    build("fresh", kind, IDS, content="v1", failed=["clip03"])
    assert bytes_of("updated") == bytes_of("fresh")


@every_kind
def test_removed_clips_are_dropped_and_nothing_is_computed(kind):
    build("s", kind, IDS)
    assert build("s", kind, IDS[5:]) == []
    assert stores.open_store("s").ids == IDS[5:]


@every_kind
def test_failures_are_recorded_and_not_tried_again(kind):
    build("s", kind, IDS, failed=["clip03", "clip01"])
    assert build("s", kind, [*IDS, "another"], failed=["another"]) == ["another"]
    wanted = [[key, f"{key} has no frames."] for key in ("another", "clip01", "clip03")]
    assert read_rows("s/failures.csv", ["id", "reason"]) == wanted


@every_kind
def test_other_settings_compute_all_clips_again(kind):
    build("s", kind, IDS)
    assert sorted(build("s", kind, IDS, settings={"cell_size": 16})) == IDS
    assert stores.open_store("s").settings == {"cell_size": 16}


@every_kind
def test_settings_may_contain_tuples(kind):
    build("s", kind, IDS, settings={"views": ("plain", "flip")})
    assert build("s", kind, IDS, settings={"views": ("plain", "flip")}) == []


@every_kind
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_update_leaves_the_old_shard_and_nothing_else(kind, error, monkeypatch):
    build("s", kind, IDS)
    before = bytes_of("s")

    def interrupt(*_):
        raise error

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(error):
        build("s", kind, IDS, content="v2")
    assert bytes_of("s") == before


@every_kind
def test_links_to_a_shared_cache_are_replaced_and_the_cached_files_are_unchanged(kind):
    build("s", kind, IDS)
    Path("cache").mkdir()
    for path in Path("s").iterdir():
        path.chmod(0o444)
        os.link(path, Path("cache", path.name))
    cached = bytes_of("cache")
    build("s", kind, IDS, content="v2", settings={"cell_size": 16})
    assert bytes_of("cache") == cached
    assert stores.open_store("s").settings == {"cell_size": 16}


@every_kind
def test_a_read_only_store_can_be_read_and_reading_changes_no_file(kind):
    build("s", kind, IDS)
    for path in (*Path("s").iterdir(), Path("s")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in (*Path("s").iterdir(), Path("s"))}
    assert values(stores.open_store("s"), IDS) == expected_values(kind, IDS)
    assert {path: path.stat().st_mtime_ns for path in (*Path("s").iterdir(), Path("s"))} == before


@every_kind
@pytest.mark.parametrize("name", ["Ελλ ё 跳", "two\nlines", 'say "hi"', "it's #2 (x)", "a\\b", ".hidden", "x" * 200])
def test_clip_ids_may_contain_any_characters(kind, name):
    ids = ["broken", name]
    build("s", kind, ids, failed=["broken"])
    opened = stores.open_store("s")
    assert (opened.ids, opened.failures) == ([name], {"broken": failure_of("broken")})
    assert values(opened, [name]) == expected_values(kind, [name])
    assert build("s", kind, ids, failed=["broken"]) == []


@every_kind
def test_ids_of_failed_clips_may_contain_any_characters(kind):
    names = ["Ελλ ё 跳", "two\nlines", 'say "hi", now']
    build("s", kind, names, failed=names)
    assert read_rows("s/failures.csv", ["id", "reason"]) == [[key, f"{key} has no frames."] for key in sorted(names)]
    assert stores.open_store("s").failures == {key: failure_of(key) for key in names}


@every_kind
def test_other_files_in_the_folder_are_removed(kind):
    for name in ("s/.0000.h5.77.partial", "s/0099.h5", "s/old/0000.h5"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    build("s", kind, IDS)
    build("fresh", kind, IDS)
    assert bytes_of("s") == bytes_of("fresh")


def test_the_shard_of_a_clip_never_changes():
    # The first 8 bytes of the output of sha256sum as a big-endian number, modulo the number of shards.
    clips = ["v_Archery_g01_c01", "brush_hair__x", "é"]
    assert [layout.shard_of(key, 64) for key in clips] == [32, 39, 19]
    assert [layout.shard_of(key, 16) for key in clips] == [0, 7, 3]


@pytest.mark.parametrize("clip_id", ["frames", "ids"])
def test_a_clip_cannot_have_the_name_of_a_part_of_a_shard(clip_id):
    problem = f"the clip {clip_id} has the name of a part of the stores"
    wanted = f"{problem}; rename its file, or give it another id in dataset.lists."
    assert sentence_of(layout.by_shard, [clip_id, "x"], 5) == wanted


def test_each_clip_is_in_its_shard_in_order_of_id():
    parts = layout.by_shard(["é", "brush_hair__x", "v_Archery_g01_c01", *reversed(IDS)], 5)
    assert sorted(key for part in parts for key in part) == sorted([*IDS, "brush_hair__x", "v_Archery_g01_c01", "é"])
    assert all(part == sorted(part) for part in parts)
    assert [{layout.shard_of(key, 5) for key in part} for part in parts] == [{0}, {1}, {2}, {3}, {4}]


# Motion


def test_attributes_of_a_motion_clip_are_python_scalars():
    build("s", "motion", IDS)
    found = dict(stores.open_store("s").records(IDS))
    assert [found[key].attributes for key in IDS] == [record("motion", key).attributes for key in IDS]
    assert {type(value) for item in found.values() for value in item.attributes.values()} == {float, int, str}


def test_a_motion_store_has_the_number_of_frames_and_the_size_of_each_clip():
    build("s", "motion", IDS, failed=["clip03"])
    wanted = {key: len(record("motion", key).arrays["kind"]) for key in IDS if key != "clip03"}
    opened = stores.open_store("s")
    assert opened.lengths == wanted
    assert len(set(wanted.values())) > 1
    assert opened.sizes == dict.fromkeys(wanted, (48, 64))


def long_clip(frames=200):
    """Write a store with one clip of several chunks; returns its vectors."""
    vectors = np.random.default_rng(0).integers(-128, 128, (frames, 30, 40, 2), dtype=np.int8)
    kind = np.array([0, *[1] * (frames - 1)], np.uint8)
    arrays = {"vectors": vectors, "kind": kind, "time": np.arange(frames) / 25}
    build("s", "motion", [])
    clip = shards.Record(arrays, SIZE)
    update.update_shard(shard_of("long", "motion"), "motion", SETTINGS, {"long": "1"}, lambda _: [("long", clip)])
    return vectors


@pytest.mark.parametrize("rows", [[199, 0, 57, 57, 58], range(200), [], np.array([12, 13, 14])])
def test_selected_frames_of_a_motion_clip_are_read_in_the_selected_order(rows):
    vectors = long_clip()
    frame_types = []
    found = stores.open_store("s").read_frames("long", lambda kind: frame_types.append(kind) or rows)
    assert np.array_equal(found.arrays["vectors"], vectors[np.asarray(rows, dtype=int)])
    assert found.arrays["kind"].tolist() == frame_types[0].tolist() == [0, *[1] * 199]
    assert (len(found.arrays["time"]), found.attributes) == (200, SIZE)


def test_only_the_chunks_of_selected_frames_are_read():
    vectors = long_clip()
    with h5py.File(shard_of("long", "motion")) as file:
        dataset = file["long/vectors"]
        frames = dataset.chunks[0]
        last = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
    assert frames < 20
    flip(shard_of("long", "motion"), last.byte_offset + last.size // 2)
    opened = stores.open_store("s")
    assert np.array_equal(opened.read_frames("long", lambda _: [5, 150]).arrays["vectors"], vectors[[5, 150]])
    assert is_reported_damaged(shard_of("long", "motion"), opened.read_frames, "long", lambda _: [5, 199])


@pytest.mark.parametrize("row", [200, -1])
def test_a_frame_that_does_not_exist_is_a_programming_error(row):
    long_clip()
    with pytest.raises(IndexError, match="of 200"):
        stores.open_store("s").read_frames("long", lambda _: [row])


def test_an_error_of_the_frame_selector_is_not_reported_as_damage():
    long_clip()

    def select_frames(_):
        raise ValueError("no frame with vectors")

    with pytest.raises(ValueError, match="no frame with vectors"):
        stores.open_store("s").read_frames("long", select_frames)


def test_h5py_reads_the_compressed_vectors():
    vectors = long_clip()
    with h5py.File(shard_of("long", "motion")) as file:
        assert np.array_equal(file["long/vectors"][()], vectors)


def test_motion_arrays_keep_their_types():
    build("s", "motion", ["a"])
    ((_, found),) = stores.open_store("s").records(["a"])
    assert (found.arrays["vectors"].dtype, found.arrays["kind"].dtype) == (np.int8, np.uint8)


def test_h5py_reads_the_attributes_ids_and_vectors_of_a_motion_shard():
    build("s", "motion", ["a"])
    with h5py.File(shard_of("a", "motion"), "r") as file:
        assert (file.attrs["schema"], file.attrs["kind"].decode()) == (hdf5.SCHEMA, "motion")
        assert json.loads(file.attrs["settings"]) == SETTINGS
        assert file["a/vectors"][:].tolist() == record("motion", "a").arrays["vectors"].tolist()
        assert file["ids"].asstr()[:].tolist() == ["a"]


# Stores of embeddings


@every_embedding_kind
def test_repeated_ids_give_repeated_rows(kind):
    build("s", kind, IDS)
    rows = stores.open_store("s").read(["clip04", "clip00", "clip04"])
    assert rows.dtype == np.float32
    assert rows.tolist() == [record(kind, key).arrays["embedding"].tolist() for key in ("clip04", "clip00", "clip04")]


# Files that a reader refuses


@every_kind
def test_a_clip_that_is_not_in_the_store(kind):
    build("s", kind, IDS)
    wanted = "s does not contain clip nope (2 missing in total); run `dvc repro`."
    opened = stores.open_store("s")
    assert sentence_of(values, opened, ["clip00", "other", "nope"]) == wanted


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("nowhere", "is not a feature store, or is not pulled yet; run `dvc pull nowhere` or `dvc repro`."),
        ("empty", "is not a feature store, or is not pulled yet; run `dvc pull empty` or `dvc repro`."),
        ("other", "is not a feature store; give a store: a folder of shards such as features/keyframes."),
        ("other/file", "is a file; give a store: a folder of shards such as features/keyframes."),
    ],
)
def test_a_path_without_a_store(path, wanted):
    put(".", {"other/file": ""})
    Path("empty").mkdir()
    assert sentence_of(stores.open_store, path) == f"{path} {wanted}"


@every_kind
def test_a_missing_shard(kind):
    build("s", kind, IDS)
    Path("s/0002.h5").unlink()
    assert sentence_of(stores.open_store, "s") == "s/0002.h5 is missing; run `dvc pull s` or `dvc repro`."


@every_kind
@pytest.mark.parametrize("shard", ["0000", "0002"])
def test_a_shard_of_another_schema(kind, shard):
    build("s", kind, IDS)
    alter(f"s/{shard}.h5", schema=99)
    wanted = f"s/{shard}.h5 has schema 99, this version reads {hdf5.SCHEMA}; write it again with `dvc repro -f`."
    assert sentence_of(stores.open_store, "s") == wanted


@every_kind
def test_a_run_replaces_shards_of_another_schema(kind):
    build("fresh", kind, IDS)
    build("s", kind, IDS)
    alter(shard_of("clip05", kind), schema=0)
    assert "clip05" in build("s", kind, IDS)
    assert bytes_of("s") == bytes_of("fresh")


def test_a_shard_of_another_kind():
    build("s", "keyframes", IDS)
    alter("s/0002.h5", kind="motion_embeddings")
    assert sentence_of(stores.open_store, "s") == "s/0002.h5 contains motion_embeddings, not keyframes; check the path."


@every_kind
def test_a_shard_computed_with_other_settings(kind):
    build("s", kind, IDS)
    alter("s/0002.h5", settings='{"cell_size": 16}')
    wanted = "s/0002.h5 and s/0000.h5 were computed with different settings; run `dvc repro`."
    assert sentence_of(stores.open_store, "s") == wanted


def test_a_table_is_not_a_store():
    table_file.write_table("s/0000.h5", "pairs", {"ids": np.array(["a"])}, {})
    assert (
        sentence_of(stores.open_store, "s") == "s/0000.h5 contains pairs, which is not a sharded store; check the path."
    )


@every_kind
@pytest.mark.parametrize("fraction", [0, 0.01, 0.5, 0.99])
def test_a_truncated_shard(kind, fraction):
    build("s", kind, IDS)
    shard = shard_of("clip05", kind)
    shard.write_bytes(shard.read_bytes()[: int(fraction * shard.stat().st_size)])
    assert is_reported_damaged(shard, stores.open_store, "s")
    assert is_reported_damaged(shard, build, "s", kind, IDS)


def test_a_shard_that_is_not_hdf5():
    build("s", "keyframes", IDS)
    Path("s/0002.h5").write_text("version https://git-lfs.github.com/spec/v1")
    assert is_reported_damaged("s/0002.h5", stores.open_store, "s")


@every_embedding_kind
def test_a_flipped_bit_in_an_embedding(kind):
    build("s", kind, IDS)
    shard = shard_of("clip05", kind)
    flip_within(shard, record(kind, "clip05").arrays["embedding"].tobytes(), at=17)
    assert is_reported_damaged(shard, stores.open_store("s").read, IDS)
    assert is_reported_damaged(shard, build, "s", kind, [*IDS, neighbour_of("clip05", kind)])


@pytest.mark.parametrize("name", ["vectors", "kind"])
def test_a_flipped_bit_in_motion(name):
    build("s", "motion", ["a"])
    shard = shard_of("a", "motion")
    with h5py.File(shard) as file:
        chunk = file["a"][name].id.get_chunk_info(0)
    flip(shard, chunk.byte_offset + chunk.size // 2)
    assert is_reported_damaged(shard, list, stores.open_store("s").records(["a"]))


@every_kind
@pytest.mark.parametrize("text", ["clip05", "clip03 has no frames.", "a fingerprint"])
def test_a_flipped_bit_in_a_text(kind, text):
    path, wanted = Path("s/0000.h5"), {"clip05": "a fingerprint", "bad": "other"}
    build("s", kind, [])
    results = {"clip05": record(kind, "clip05"), "bad": failure_of("clip03")}
    update.update_shard(path, kind, SETTINGS, wanted, lambda _: results.items())
    # In a motion shard the id is also the name of a group, later in the file than the list of ids.
    flip(path, path.read_bytes().index(text.encode()))
    assert is_reported_damaged(path, stores.open_store, "s")


def test_importing_the_store_loads_neither_torch_nor_a_decoder():
    code = "import sys, mocliplite.store; print(sorted({'torch', 'transformers', 'av'} & sys.modules.keys()))"
    assert run_python("-c", code).stdout == "[]\n"
