import hashlib
import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import run_python, sentence_of
from stores import IDS, KINDS, SETTINGS, SIZE, alter, broken, build, bytes_of, flip, record, shard_of, values

from mocliplite.errors import Failure
from mocliplite.files import read_rows
from mocliplite.store import schema, shards, stores, table_file

pytestmark = pytest.mark.usefixtures("folder", "few_shards")

SHIPPED = dict(schema.SHARDS)
every_kind = pytest.mark.parametrize("kind", KINDS)
of_rows = pytest.mark.parametrize("kind", KINDS[1:])


def plain(kind, ids):
    return [{name: array.tolist() for name, array in record(kind, key).arrays.items()} for key in ids]


# What every store promises


@every_kind
def test_what_was_computed_comes_back_in_the_order_asked(kind):
    build("s", kind, IDS)
    order = ["clip07", "clip29", "clip00", "clip13"]
    assert values(stores.open_store("s"), order) == plain(kind, order)


@every_kind
def test_an_open_store_tells_what_it_holds(kind):
    build("s", kind, reversed(IDS), failed=["clip03"])
    opened = stores.open_store("s")
    assert opened.ids == [key for key in IDS if key != "clip03"]
    assert opened.failures == {"clip03": broken("clip03")}
    assert (opened.kind, opened.settings, opened.path) == (kind, SETTINGS, Path("s"))
    assert opened.fingerprints == dict.fromkeys(IDS, shards.fingerprint("v1", {}))


@every_kind
def test_the_same_clips_give_the_same_bytes_in_any_order_and_at_any_time(kind):
    build("a", kind, IDS, failed=["clip03"])
    time.sleep(1.05)  # HDF5 would note seconds
    build("b", kind, reversed(IDS), settings=dict(reversed(SETTINGS.items())), failed=["clip03"])
    assert bytes_of("a") == bytes_of("b")


def test_motion_is_the_same_bytes_on_every_machine():
    # Motion as a codec sees it: still, but for a block that moves. The digest was taken once; a library that packs
    # otherwise changes the hash of every store.
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
def test_every_shard_is_there_even_if_empty(kind, monkeypatch):
    monkeypatch.setattr(schema, "SHARDS", SHIPPED)
    build("s", kind, ["one"])
    names = [f"{number:04d}.h5" for number in range(64 if kind == "motion" else 16)]
    assert sorted(bytes_of("s")) == [*names, "README.md", "failures.csv"]


@every_kind
def test_a_store_without_clips_opens(kind):
    build("s", kind, [])
    assert stores.open_store("s").ids == []


@every_kind
def test_only_new_clips_are_computed_and_only_their_shards_are_touched(kind):
    build("s", kind, IDS)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("s").glob("*.h5")}
    assert build("s", kind, [*IDS, "another"]) == ["another"]
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("s").glob("*.h5")}
    assert {name for name in after if after[name] != before[name]} == {shard_of("another", kind).name}


@every_kind
def test_a_store_that_grew_shrank_and_changed_has_the_bytes_of_one_made_at_once(kind):
    build("grown", kind, [*IDS[:20], "gone"], content="v0", failed=["clip03"])
    build("grown", kind, IDS[10:], content="v1")
    build("grown", kind, IDS, content="v1", failed=["clip03"])
    build("fresh", kind, IDS, content="v1", failed=["clip03"])
    assert bytes_of("grown") == bytes_of("fresh")


@every_kind
def test_changed_clips_alone_are_computed_again(kind):
    path = shard_of("a", kind)
    compute = {"v1": lambda ids: {key: record(kind, key) for key in ids}, "v2": lambda ids: {"b": record(kind, "new")}}
    shards.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v1"}, compute["v1"])
    assert shards.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v2"}, compute["v2"]) == (1, 0)
    twin = shards.Shard({"a": record(kind, "a"), "b": record(kind, "new")}, {}, {"a": "v1", "b": "v2"})
    shards.write_shard(Path("twin.h5"), kind, SETTINGS, twin)
    assert path.read_bytes() == Path("twin.h5").read_bytes()


@every_kind
def test_clips_that_left_are_dropped_and_nothing_is_computed(kind):
    build("s", kind, IDS)
    assert build("s", kind, IDS[5:]) == []
    assert stores.open_store("s").ids == IDS[5:]


@every_kind
def test_failures_are_kept_and_not_tried_again(kind):
    build("s", kind, IDS, failed=["clip03", "clip01"])
    assert build("s", kind, [*IDS, "another"], failed=["another"]) == ["another"]
    wanted = [[key, f"{key} has no frames."] for key in ("another", "clip01", "clip03")]
    assert read_rows("s/failures.csv", ["id", "reason"]) == wanted


@every_kind
def test_a_failure_of_the_machine_is_tried_again_by_the_next_run(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1"}
    results = {"a": broken("a"), "b": Failure("memory ran out.", retry=True)}
    shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids})
    asked = []

    def compute(ids):
        asked.append(ids)
        return {key: record(kind, key) for key in ids}

    assert shards.update_shard(path, kind, {}, wanted, compute) == (1, 1)
    assert shards.update_shard(path, kind, {}, wanted, compute) == (0, 1)
    assert asked == [["b"]]


@every_kind
def test_every_failure_is_tried_again_where_asked_for_and_nothing_is_written_where_it_stays(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": broken("a"), "b": Failure("memory ran out.", retry=True), "c": record(kind, "c")}
    shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids})
    before = path.stat().st_ino
    again = {key: results[key] for key in ("a", "b")}
    assert shards.update_shard(path, kind, {}, wanted, lambda _: again, retry_failed=True) == (2, 2)
    assert path.stat().st_ino == before
    again["a"] = record(kind, "a")
    assert shards.update_shard(path, kind, {}, wanted, lambda _: again, retry_failed=True) == (2, 1)
    shards.write_shard(Path("twin.h5"), kind, {}, shards.Shard(*sorted_results(again | {"c": results["c"]}), wanted))
    assert path.read_bytes() == Path("twin.h5").read_bytes()


def sorted_results(results):
    """Records and failures apart."""
    return [{key: x for key, x in results.items() if isinstance(x, part)} for part in (shards.Record, Failure)]


@every_kind
def test_the_numbers_computed_and_failed_are_told(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": record(kind, "a"), "b": broken("b"), "c": record(kind, "c")}
    assert shards.update_shard(path, kind, {}, wanted, lambda ids: {key: results[key] for key in ids}) == (3, 1)
    assert shards.update_shard(path, kind, {}, wanted, lambda ids: {}) == (0, 1)


@every_kind
def test_other_settings_compute_everything_again(kind):
    build("s", kind, IDS)
    assert sorted(build("s", kind, IDS, settings={"cell_size": 16})) == IDS
    assert stores.open_store("s").settings == {"cell_size": 16}


@every_kind
def test_settings_may_hold_tuples(kind):
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
    path, whole = Path("s/0001.h5"), {"a": "1"}
    shards.update_shard(path, kind, {}, whole, lambda _: {"a": record(kind, "a")})
    with pytest.raises(KeyboardInterrupt):
        shards.update_shard(Path("s/0002.h5"), kind, {}, {"b": "1"}, lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert shards.update_shard(path, kind, {}, whole, lambda _: {}) == (0, 0)
    assert list(bytes_of("s")) == ["0001.h5"]


@every_kind
def test_a_clip_that_nobody_computed_is_our_own_mistake(kind):
    with pytest.raises(ValueError, match="records, failures and fingerprints disagree"):
        shards.update_shard(Path("0000.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: {"a": record(kind, "a")})
    assert not Path("0000.h5").exists()


@every_kind
def test_shards_linked_from_a_shared_cache_are_replaced_and_the_cache_keeps_its_own(kind):
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
def test_a_read_only_store_opens_and_reading_leaves_no_trace(kind):
    build("s", kind, IDS)
    for path in (*Path("s").iterdir(), Path("s")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in (*Path("s").iterdir(), Path("s"))}
    assert values(stores.open_store("s"), IDS) == plain(kind, IDS)
    assert {path: path.stat().st_mtime_ns for path in (*Path("s").iterdir(), Path("s"))} == before


@every_kind
@pytest.mark.parametrize("name", ["Ελλ ё 跳", "two\nlines", 'say "hi"', "it's #2 (x)", "a\\b", ".hidden", "x" * 200])
def test_any_name_of_a_clip_will_do(kind, name):
    ids = ["broken", name]
    build("s", kind, ids, failed=["broken"])
    opened = stores.open_store("s")
    assert (opened.ids, opened.failures) == ([name], {"broken": broken("broken")})
    assert values(opened, [name]) == plain(kind, [name])
    assert build("s", kind, ids, failed=["broken"]) == []


@every_kind
def test_any_name_of_a_failed_clip_will_do(kind):
    names = ["Ελλ ё 跳", "two\nlines", 'say "hi", now']
    build("s", kind, names, failed=names)
    assert read_rows("s/failures.csv", ["id", "reason"]) == [[key, f"{key} has no frames."] for key in sorted(names)]
    assert stores.open_store("s").failures == {key: broken(key) for key in names}


@every_kind
def test_strangers_in_the_folder_are_removed(kind):
    for name in ("s/.0000.h5.77.partial", "s/0099.h5", "s/old/0000.h5"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    build("s", kind, IDS)
    build("fresh", kind, IDS)
    assert bytes_of("s") == bytes_of("fresh")


def test_the_shard_of_a_clip_is_the_same_for_ever():
    # sha256sum, its first 8 bytes as a number, modulo.
    clips = ["v_Archery_g01_c01", "brush_hair__x", "é"]
    assert [stores.shard_of(key, 64) for key in clips] == [32, 39, 19]
    assert [stores.shard_of(key, 16) for key in clips] == [0, 7, 3]


def test_shards_hold_their_clips_in_order():
    parts = stores.by_shard(["é", "brush_hair__x", "v_Archery_g01_c01", *reversed(IDS)], "motion")
    assert sorted(key for part in parts for key in part) == sorted([*IDS, "brush_hair__x", "v_Archery_g01_c01", "é"])
    assert all(part == sorted(part) for part in parts)
    assert [{stores.shard_of(key, 5) for key in part} for part in parts] == [{0}, {1}, {2}, {3}, {4}]


def test_a_fingerprint_follows_content_and_settings_and_no_order():
    one = shards.fingerprint("content", {"cell_size": 8, "version": 1})
    assert one == shards.fingerprint("content", {"version": 1, "cell_size": 8})
    assert one != shards.fingerprint("other", {"cell_size": 8, "version": 1})
    assert one != shards.fingerprint("content", {"cell_size": 8, "version": 2})


# Motion


def test_a_motion_clip_has_its_attributes_as_plain_values():
    build("s", "motion", IDS)
    found = dict(stores.open_store("s").records(IDS))
    assert [found[key].attributes for key in IDS] == [record("motion", key).attributes for key in IDS]
    assert {type(value) for item in found.values() for value in item.attributes.values()} == {float, int, str}


def test_a_motion_store_tells_the_frames_of_each_clip():
    build("s", "motion", IDS, failed=["clip03"])
    wanted = {key: len(record("motion", key).arrays["kind"]) for key in IDS if key != "clip03"}
    opened = stores.open_store("s")
    assert opened.lengths == wanted
    assert len(set(wanted.values())) > 1
    assert opened.sizes == dict.fromkeys(wanted, (48, 64))


def long_clip(frames=200):
    """A store of one clip that takes several chunks; returns its vectors."""
    vectors = np.random.default_rng(0).integers(-128, 128, (frames, 30, 40, 2), dtype=np.int8)
    kind = np.array([0, *[1] * (frames - 1)], np.uint8)
    parts = {"vectors": vectors, "kind": kind, "time": np.arange(frames) / 25}
    number = stores.shard_of("long", 5)
    build("s", "motion", [])
    write = shards.Record(parts, SIZE)
    shards.update_shard(stores.shard_path("s", number), "motion", SETTINGS, {"long": "1"}, lambda _: {"long": write})
    return vectors


@pytest.mark.parametrize("rows", [[199, 0, 57, 57, 58], range(200), [], np.array([12, 13, 14])])
def test_chosen_frames_of_a_motion_clip_are_read_in_the_order_chosen(rows):
    vectors = long_clip()
    seen = []
    found = stores.open_store("s").read_frames("long", lambda kind: seen.append(kind) or rows)
    assert np.array_equal(found.arrays["vectors"], vectors[np.asarray(rows, dtype=int)])
    assert found.arrays["kind"].tolist() == seen[0].tolist() == [0, *[1] * 199]
    assert (len(found.arrays["time"]), found.attributes) == (200, SIZE)


def test_only_the_chunks_of_chosen_frames_are_read():
    vectors = long_clip()
    with h5py.File(shard_of("long", "motion")) as file:
        dataset = file["long/vectors"]
        frames = dataset.chunks[0]
        last = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
    assert frames < 20
    flip(shard_of("long", "motion"), last.byte_offset + last.size // 2)
    opened = stores.open_store("s")
    assert np.array_equal(opened.read_frames("long", lambda _: [5, 150]).arrays["vectors"], vectors[[5, 150]])
    assert damaged(shard_of("long", "motion"), opened.read_frames, "long", lambda _: [5, 199])


@pytest.mark.parametrize("row", [200, -1])
def test_a_frame_that_a_clip_has_not_is_our_own_mistake(row):
    long_clip()
    with pytest.raises(IndexError, match="of 200"):
        stores.open_store("s").read_frames("long", lambda _: [row])


def test_a_mistake_in_the_choice_of_frames_does_not_pass_for_damage():
    long_clip()

    def choose(_):
        raise ValueError("no frame with vectors")

    with pytest.raises(ValueError, match="no frame with vectors"):
        stores.open_store("s").read_frames("long", choose)


def test_plain_h5py_reads_what_is_packed():
    vectors = long_clip()
    with h5py.File(shard_of("long", "motion")) as file:
        assert np.array_equal(file["long/vectors"][()], vectors)


def test_motion_keeps_its_types():
    build("s", "motion", ["a"])
    ((_, found),) = stores.open_store("s").records(["a"])
    assert (found.arrays["vectors"].dtype, found.arrays["kind"].dtype) == (np.int8, np.uint8)


def test_a_motion_clip_may_have_no_frames():
    path = Path("0000.h5")
    none = shards.Record({"vectors": np.zeros((0, 3, 4, 2), np.int8), "kind": np.zeros(0, np.uint8)}, SIZE)
    shards.update_shard(path, "motion", {}, {"a": "1"}, lambda _: {"a": none})
    assert shards.update_shard(path, "motion", {}, {"a": "1", "b": "1"}, lambda _: {"b": broken("b")}) == (1, 1)


def test_a_group_of_motion_is_what_other_readers_find():
    build("s", "motion", ["a"])
    with h5py.File(shard_of("a", "motion"), "r") as file:
        assert (file.attrs["schema"], file.attrs["kind"]) == (2, "motion")
        assert json.loads(file.attrs["settings"]) == SETTINGS
        assert file["a/vectors"][:].tolist() == record("motion", "a").arrays["vectors"].tolist()
        assert file["ids"].asstr()[:].tolist() == ["a"]


# Rows


@of_rows
def test_rows_asked_twice_come_twice(kind):
    build("s", kind, IDS)
    rows = stores.open_store("s").read(["clip04", "clip00", "clip04"])
    assert rows.dtype == np.float32
    assert rows.tolist() == [record(kind, key).arrays["embedding"].tolist() for key in ("clip04", "clip00", "clip04")]


@of_rows
def test_a_row_of_another_shape_is_our_own_mistake(kind):
    odd = shards.Record({"embedding": np.zeros((3, 4), np.float32), "frames": np.array(1)})
    with pytest.raises(ValueError, match="same shape"):
        shards.update_shard(Path("0.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: {"a": odd, "b": record(kind, "b")})
    assert not Path("0.h5").exists()


# What a reader refuses


@every_kind
def test_a_clip_that_the_store_lacks(kind):
    build("s", kind, IDS)
    wanted = "s lacks clip nope (2 in all); run `dvc repro`."
    opened = stores.open_store("s")
    assert sentence_of(values, opened, ["clip00", "other", "nope"]) == wanted


@pytest.mark.parametrize("path", ["nowhere", "folder", "file"])
def test_what_is_no_store(path):
    Path("folder").mkdir()
    Path("file").write_text("")
    wanted = f"{path} is not a feature store, or not pulled yet; run `dvc pull {path}` or `dvc repro`."
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
    alter(f"s/{shard}.h5", schema=3)
    wanted = f"s/{shard}.h5 has schema 4, this version reads 3; make it again: dvc repro -f."
    assert sentence_of(stores.open_store, "s") == wanted


@every_kind
def test_a_run_makes_shards_of_another_schema_again(kind):
    build("fresh", kind, IDS)
    build("s", kind, IDS)
    alter(shard_of("clip05", kind), schema=0)
    assert "clip05" in build("s", kind, IDS)
    assert bytes_of("s") == bytes_of("fresh")


def test_a_shard_of_another_kind():
    build("s", "keyframes", IDS)
    alter("s/0002.h5", kind="motion_embeddings")
    assert sentence_of(stores.open_store, "s") == "s/0002.h5 holds motion_embeddings, not keyframes; check the path."


@every_kind
def test_a_shard_made_with_other_settings(kind):
    build("s", kind, IDS)
    alter("s/0002.h5", settings='{"cell_size": 16}')
    wanted = "s/0002.h5 was made with other settings than s/0000.h5; run `dvc repro`."
    assert sentence_of(stores.open_store, "s") == wanted


def test_a_table_is_no_store():
    table_file.write_table("s/0000.h5", "pairs", {"ids": np.array(["a"])}, {})
    assert sentence_of(stores.open_store, "s") == "s/0000.h5 holds pairs, which is no sharded store."


def damaged(path, call, *arguments):
    sentence = sentence_of(call, *arguments)
    return sentence.startswith(f"{path} is damaged (") and sentence.endswith(
        "); restore it with `dvc checkout` or delete it."
    )


@every_kind
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_shard_that_was_cut_off(kind, share):
    build("s", kind, IDS)
    shard = shard_of("clip05", kind)
    shard.write_bytes(shard.read_bytes()[: int(share * shard.stat().st_size)])
    assert damaged(shard, stores.open_store, "s")
    assert damaged(shard, build, "s", kind, IDS)


def test_a_shard_that_is_something_else():
    build("s", "keyframes", IDS)
    Path("s/0002.h5").write_text("version https://git-lfs.github.com/spec/v1")
    assert damaged("s/0002.h5", stores.open_store, "s")


def flip_within(path, content, at=0):
    """Flip a bit of the only place in a file that holds the content."""
    whole = path.read_bytes()
    assert whole.count(content) == 1
    flip(path, whole.index(content) + at)


@of_rows
def test_a_flipped_bit_in_an_embedding(kind):
    build("s", kind, IDS)
    shard = shard_of("clip05", kind)
    flip_within(shard, record(kind, "clip05").arrays["embedding"].tobytes(), at=17)
    assert damaged(shard, stores.open_store("s").read, IDS)
    assert damaged(shard, build, "s", kind, IDS)


@pytest.mark.parametrize("name", ["vectors", "kind"])
def test_a_flipped_bit_in_motion(name):
    build("s", "motion", ["a"])
    shard = shard_of("a", "motion")
    with h5py.File(shard) as file:
        chunk = file["a"][name].id.get_chunk_info(0)
    flip(shard, chunk.byte_offset + chunk.size // 2)
    assert damaged(shard, list, stores.open_store("s").records(["a"]))


@every_kind
@pytest.mark.parametrize("text", ["clip05", "clip03 has no frames.", "a fingerprint"])
def test_a_flipped_bit_in_a_text(kind, text):
    path, wanted = stores.shard_path("s", 0), {"clip05": "a fingerprint", "bad": "other"}
    build("s", kind, [])
    results = {"clip05": record(kind, "clip05"), "bad": broken("clip03")}
    shards.update_shard(path, kind, SETTINGS, wanted, lambda _: results)
    # Motion names its groups too; the list of ids is the earlier.
    flip(path, path.read_bytes().index(text.encode()))
    assert damaged(path, stores.open_store, "s")


# Tables

ARRAYS = {
    "ids": np.array(["a", "é", ""]),
    "embedding": np.arange(6, dtype=np.float32).reshape(3, 2),
    "label": np.array([2, 0, 1]),
    "logit_scale": np.array(4.6052),
    "title": np.array("one text"),
    "none": np.zeros((0, 7), dtype=np.float32),
    "nobody": np.array([], dtype=str),
}


def test_a_table_comes_back_as_it_was_written():
    table_file.write_table("features/t.h5", "pairs", ARRAYS, {"views": ["plain"], "é": None})
    table = table_file.read_table("features/t.h5", "pairs")
    assert table.settings == {"views": ["plain"], "é": None}
    assert {name: array.tolist() for name, array in table.arrays.items()} == {
        "ids": ["a", "é", ""],
        "embedding": [[0, 1], [2, 3], [4, 5]],
        "label": [2, 0, 1],
        "logit_scale": 4.6052,
        "title": "one text",
        "none": [],
        "nobody": [],
    }
    assert {name: array.dtype.kind for name, array in table.arrays.items()} == {
        name: array.dtype.kind for name, array in ARRAYS.items()
    }
    assert table.arrays["none"].shape == (0, 7)


def test_equal_tables_have_equal_bytes_whatever_the_order():
    table_file.write_table("a.h5", "pairs", ARRAYS, {"x": 1, "y": 2})
    table_file.write_table("b.h5", "pairs", dict(reversed(ARRAYS.items())), {"y": 2, "x": 1})
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


def test_a_table_longer_than_a_chunk_comes_back_whole():
    rows = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    table_file.write_table("t.h5", "pairs", {"keyframe": rows}, {})
    assert np.array_equal(table_file.read_table("t.h5", "pairs").arrays["keyframe"], rows)


def test_a_table_that_is_not_there():
    assert (
        sentence_of(table_file.read_table, "t.h5", "pairs") == "t.h5 is not here; run `dvc pull t.h5` or `dvc repro`."
    )


def test_a_table_of_another_kind():
    table_file.write_table("t.h5", "prompts", ARRAYS, {})
    assert sentence_of(table_file.read_table, "t.h5", "pairs") == "t.h5 holds prompts, not pairs; check the path."


def test_a_table_of_another_schema():
    table_file.write_table("t.h5", "pairs", ARRAYS, {})
    alter("t.h5", schema=3)
    wanted = "t.h5 has schema 4, this version reads 3; make it again: dvc repro -f."
    assert sentence_of(table_file.read_table, "t.h5", "pairs") == wanted


def test_a_table_cut_off_anywhere():
    table_file.write_table("t.h5", "pairs", {"label": np.arange(5)}, {})
    whole = Path("t.h5").read_bytes()
    for length in range(0, len(whole), 97):
        Path("t.h5").write_bytes(whole[:length])
        assert damaged("t.h5", table_file.read_table, "t.h5", "pairs")
    assert len(whole) > 10 * 97


@pytest.mark.parametrize("name", ["embedding", "label", "ids"])
def test_a_flipped_bit_in_a_table(name):
    arrays = {"embedding": np.array([1.25, 3.5]), "label": np.array([77, 99])}
    table_file.write_table("t.h5", "pairs", {**arrays, "ids": np.array(["somebody"])}, {})
    flip_within(Path("t.h5"), arrays[name].tobytes() if name in arrays else b"somebody")
    assert damaged("t.h5", table_file.read_table, "t.h5", "pairs")


def test_settings_that_are_no_json():
    table_file.write_table("t.h5", "pairs", ARRAYS, {})
    alter("t.h5", settings="{")
    assert damaged("t.h5", table_file.read_table, "t.h5", "pairs")


def test_an_interrupted_table_leaves_the_old_one_and_nothing_else(monkeypatch):
    table_file.write_table("t.h5", "pairs", {"label": np.arange(3)}, {})
    before = Path("t.h5").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        table_file.write_table("t.h5", "pairs", {"label": np.arange(4)}, {})
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == {"t.h5": before}


def test_stores_need_neither_torch_nor_a_decoder():
    code = "import sys, mocliplite.store; print(sorted({'torch', 'transformers', 'av'} & sys.modules.keys()))"
    assert run_python("-c", code).stdout == "[]\n"
