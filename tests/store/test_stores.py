import hashlib
import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import run_python, sentence_of
from stores import IDS, KINDS, SETTINGS, SIZE, alter, build, bytes_of, failure_of, flip, record, shard_of, values

from mocliplite.errors import Failure
from mocliplite.files import read_rows
from mocliplite.store import hdf5, schema, shards, stores, table_file

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


@every_kind
def test_the_same_clips_give_the_same_bytes_in_any_order_and_at_any_time(kind):
    build("a", kind, IDS, failed=["clip03"])
    time.sleep(1.05)  # HDF5 timestamps have a resolution of one second
    build("b", kind, reversed(IDS), settings=dict(reversed(SETTINGS.items())), failed=["clip03"])
    assert bytes_of("a") == bytes_of("b")


def test_motion_is_the_same_bytes_on_every_machine():
    # A still scene with one moving block. The digest is recorded: a library that compresses differently would change
    # the bytes of every store.
    vectors = np.zeros((300, 18, 24, 2), np.int8)
    for frame in range(300):
        vectors[frame, 3:9, frame % 20 : frame % 20 + 4] = (8, frame % 7 - 3)
    shard = shards.Shard(fingerprints={"a": "f"})
    shard.records["a"] = shards.Record({"vectors": vectors, "kind": np.ones(300, np.uint8)}, SIZE)
    shards.write_shard(Path("0000.h5"), "motion", SETTINGS, shard)
    assert hashlib.sha256(Path("0000.h5").read_bytes()).hexdigest() == (
        "26f32739e49af85cf7b773e82691b386a3ea26532111890265755117e60f1190"
    )


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
def test_only_changed_clips_are_computed_again(kind):
    path = shard_of("a", kind)
    compute = {"v1": lambda ids: {key: record(kind, key) for key in ids}, "v2": lambda ids: {"b": record(kind, "new")}}
    shards.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v1"}, compute["v1"])
    assert shards.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v2"}, compute["v2"]) == (1, 0)
    expected = shards.Shard({"a": record(kind, "a"), "b": record(kind, "new")}, {}, {"a": "v1", "b": "v2"})
    shards.write_shard(Path("expected.h5"), kind, SETTINGS, expected)
    assert path.read_bytes() == Path("expected.h5").read_bytes()


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
def test_a_failure_caused_by_the_machine_is_tried_again_by_the_next_run(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1"}
    results = {"a": failure_of("a"), "b": Failure("memory ran out.", retry=True)}
    shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids})
    computed = []

    def compute(ids):
        computed.append(ids)
        return {key: record(kind, key) for key in ids}

    assert shards.update_shard(path, kind, {}, wanted, compute) == (1, 1)
    assert shards.update_shard(path, kind, {}, wanted, compute) == (0, 1)
    assert computed == [["b"]]


@every_kind
def test_retry_failed_tries_every_failure_and_writes_only_if_one_succeeds(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": failure_of("a"), "b": Failure("memory ran out.", retry=True), "c": record(kind, "c")}
    shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids})
    before = path.stat().st_ino
    retried = {key: results[key] for key in ("a", "b")}
    assert shards.update_shard(path, kind, {}, wanted, lambda _: retried, retry_failed=True) == (2, 2)
    assert path.stat().st_ino == before
    retried["a"] = record(kind, "a")
    assert shards.update_shard(path, kind, {}, wanted, lambda _: retried, retry_failed=True) == (2, 1)
    shards.write_shard(
        Path("expected.h5"), kind, {}, shards.Shard(*records_and_failures(retried | {"c": results["c"]}), wanted)
    )
    assert path.read_bytes() == Path("expected.h5").read_bytes()


def records_and_failures(results):
    """The records and the failures in two dicts."""
    return [{key: x for key, x in results.items() if isinstance(x, kind)} for kind in (shards.Record, Failure)]


@every_kind
def test_update_shard_returns_the_numbers_of_computed_and_failed_clips(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": record(kind, "a"), "b": failure_of("b"), "c": record(kind, "c")}
    assert shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids}) == (3, 1)
    assert shards.update_shard(path, kind, {}, wanted, lambda ids: {}) == (0, 1)


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
def test_a_killed_run_keeps_its_finished_shards(kind):
    path, wanted = Path("s/0001.h5"), {"a": "1"}
    shards.update_shard(path, kind, {}, wanted, lambda _: {"a": record(kind, "a")})
    with pytest.raises(KeyboardInterrupt):
        shards.update_shard(Path("s/0002.h5"), kind, {}, {"b": "1"}, lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert shards.update_shard(path, kind, {}, wanted, lambda _: {}) == (0, 0)
    assert list(bytes_of("s")) == ["0001.h5"]


@every_kind
def test_a_clip_without_a_result_is_a_programming_error(kind):
    with pytest.raises(ValueError, match="records, failures and fingerprints disagree"):
        shards.update_shard(Path("0000.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: {"a": record(kind, "a")})
    assert not Path("0000.h5").exists()


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
    assert [stores.shard_of(key, 64) for key in clips] == [32, 39, 19]
    assert [stores.shard_of(key, 16) for key in clips] == [0, 7, 3]


def test_each_clip_is_in_its_shard_in_order_of_id():
    parts = stores.by_shard(["é", "brush_hair__x", "v_Archery_g01_c01", *reversed(IDS)], "motion")
    assert sorted(key for part in parts for key in part) == sorted([*IDS, "brush_hair__x", "v_Archery_g01_c01", "é"])
    assert all(part == sorted(part) for part in parts)
    assert [{stores.shard_of(key, 5) for key in part} for part in parts] == [{0}, {1}, {2}, {3}, {4}]


def test_a_fingerprint_depends_on_content_and_settings_but_not_on_their_order():
    reference = shards.fingerprint("content", {"cell_size": 8, "version": 1})
    assert reference == shards.fingerprint("content", {"version": 1, "cell_size": 8})
    assert reference != shards.fingerprint("other", {"cell_size": 8, "version": 1})
    assert reference != shards.fingerprint("content", {"cell_size": 8, "version": 2})


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
    number = stores.shard_of("long", 5)
    build("s", "motion", [])
    clip = shards.Record(arrays, SIZE)
    shards.update_shard(stores.shard_path("s", number), "motion", SETTINGS, {"long": "1"}, lambda _: {"long": clip})
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


def test_a_motion_clip_may_have_no_frames():
    path = Path("0000.h5")
    empty = shards.Record({"vectors": np.zeros((0, 3, 4, 2), np.int8), "kind": np.zeros(0, np.uint8)}, SIZE)
    shards.update_shard(path, "motion", {}, {"a": "1"}, lambda _: {"a": empty})
    assert shards.update_shard(path, "motion", {}, {"a": "1", "b": "1"}, lambda _: {"b": failure_of("b")}) == (1, 1)


def test_h5py_reads_the_attributes_ids_and_vectors_of_a_motion_shard():
    build("s", "motion", ["a"])
    with h5py.File(shard_of("a", "motion"), "r") as file:
        assert (file.attrs["schema"], file.attrs["kind"]) == (hdf5.SCHEMA, "motion")
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


@every_embedding_kind
def test_rows_of_different_shapes_are_a_programming_error(kind):
    other_shape = shards.Record({"embedding": np.zeros((3, 4), np.float32), "frames": np.array(1)})
    with pytest.raises(ValueError, match="same shape"):
        shards.update_shard(
            Path("0.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: {"a": other_shape, "b": record(kind, "b")}
        )
    assert not Path("0.h5").exists()


# Files that a reader refuses


@every_kind
def test_a_clip_that_is_not_in_the_store(kind):
    build("s", kind, IDS)
    wanted = "s does not contain clip nope (2 missing in total); run `dvc repro`."
    opened = stores.open_store("s")
    assert sentence_of(values, opened, ["clip00", "other", "nope"]) == wanted


@pytest.mark.parametrize("path", ["nowhere", "folder", "file"])
def test_a_path_without_a_store(path):
    Path("folder").mkdir()
    Path("file").write_text("")
    wanted = f"{path} is not a feature store, or is not pulled yet; run `dvc pull {path}` or `dvc repro`."
    assert sentence_of(stores.open_store, path) == wanted


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


def is_reported_damaged(path, call, *arguments):
    sentence = sentence_of(call, *arguments)
    return sentence.startswith(f"{path} is damaged (") and sentence.endswith(
        "); restore it with `dvc checkout` or delete it."
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


def flip_within(path, content, at=0):
    """Flip a bit of the content, which occurs once in the file."""
    whole = path.read_bytes()
    assert whole.count(content) == 1
    flip(path, whole.index(content) + at)


@every_embedding_kind
def test_a_flipped_bit_in_an_embedding(kind):
    build("s", kind, IDS)
    shard = shard_of("clip05", kind)
    flip_within(shard, record(kind, "clip05").arrays["embedding"].tobytes(), at=17)
    assert is_reported_damaged(shard, stores.open_store("s").read, IDS)
    assert is_reported_damaged(shard, build, "s", kind, IDS)


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
    path, wanted = stores.shard_path("s", 0), {"clip05": "a fingerprint", "bad": "other"}
    build("s", kind, [])
    results = {"clip05": record(kind, "clip05"), "bad": failure_of("clip03")}
    shards.update_shard(path, kind, SETTINGS, wanted, lambda _: results)
    # In a motion shard the id is also the name of a group, later in the file than the list of ids.
    flip(path, path.read_bytes().index(text.encode()))
    assert is_reported_damaged(path, stores.open_store, "s")


# Tables

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


def test_equal_tables_have_equal_bytes_in_any_order():
    table_file.write_table("a.h5", "pairs", ARRAYS, {"x": 1, "y": 2})
    table_file.write_table("b.h5", "pairs", dict(reversed(ARRAYS.items())), {"y": 2, "x": 1})
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


def test_a_table_of_several_chunks_is_read_as_it_was_written():
    rows = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    table_file.write_table("t.h5", "pairs", {"keyframe": rows}, {})
    assert np.array_equal(table_file.read_table("t.h5", "pairs").arrays["keyframe"], rows)


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


def test_importing_the_store_loads_neither_torch_nor_a_decoder():
    code = "import sys, mocliplite.store; print(sorted({'torch', 'transformers', 'av'} & sys.modules.keys()))"
    assert run_python("-c", code).stdout == "[]\n"
