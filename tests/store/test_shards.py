import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from stores import KINDS, SETTINGS, SIZE, bytes_of, failure_of, record, shard_of

from mocliplite.errors import Failure
from mocliplite.store import shards, update, whole_file

pytestmark = pytest.mark.usefixtures("folder", "few_shards")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_embedding_kind = pytest.mark.parametrize("kind", KINDS[1:])


@every_kind
def test_only_changed_clips_are_computed_again(kind):
    path = shard_of("a", kind)
    compute = {
        "v1": lambda ids: [(key, record(kind, key)) for key in ids],
        "v2": lambda ids: [("b", record(kind, "new"))],
    }
    update.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v1"}, compute["v1"])
    assert update.update_shard(path, kind, SETTINGS, {"a": "v1", "b": "v2"}, compute["v2"]) == (1, 0)
    expected = shards.Shard({"a": record(kind, "a"), "b": record(kind, "new")}, {}, {"a": "v1", "b": "v2"})
    shards.write_shard(Path("expected.h5"), kind, SETTINGS, expected)
    assert path.read_bytes() == Path("expected.h5").read_bytes()


@every_kind
def test_a_failure_caused_by_the_machine_is_tried_again_by_the_next_run(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1"}
    results = {"a": failure_of("a"), "b": Failure("memory ran out.", retry=True)}
    update.update_shard(path, kind, {}, wanted, lambda ids: [(key, results[key]) for key in ids])
    computed = []

    def compute(ids):
        computed.append(ids)
        return [(key, record(kind, key)) for key in ids]

    assert update.update_shard(path, kind, {}, wanted, compute) == (1, 1)
    assert update.update_shard(path, kind, {}, wanted, compute) == (0, 1)
    assert computed == [["b"]]


@every_kind
def test_retry_failed_tries_every_failure_and_writes_only_if_one_succeeds(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": failure_of("a"), "b": Failure("memory ran out.", retry=True), "c": record(kind, "c")}
    update.update_shard(path, kind, {}, wanted, lambda ids: [(key, results[key]) for key in ids])
    before = path.stat().st_ino
    retried = {key: results[key] for key in ("a", "b")}
    assert update.update_shard(path, kind, {}, wanted, lambda _: retried.items(), retry_failed=True) == (2, 2)
    assert path.stat().st_ino == before
    retried["a"] = record(kind, "a")
    assert update.update_shard(path, kind, {}, wanted, lambda _: retried.items(), retry_failed=True) == (2, 1)
    shards.write_shard(
        Path("expected.h5"), kind, {}, shards.Shard(*records_and_failures(retried | {"c": results["c"]}), wanted)
    )
    assert path.read_bytes() == Path("expected.h5").read_bytes()


@every_kind
def test_another_provenance_rewrites_a_shard_and_computes_nothing(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1"}
    results = {"a": record(kind, "a"), "b": failure_of("b")}

    def run(provenance):
        calls = []
        compute = lambda ids: calls.append(ids) or [(key, results[key]) for key in ids]  # noqa: E731
        update.update_shard(path, kind, SETTINGS, wanted, compute, provenance=provenance)
        return calls, path.read_bytes()

    first, again, other, back = (run({"model": model}) for model in ("x", "x", "y", "x"))
    assert [calls for calls, _ in (first, again, other, back)] == [[["a", "b"]], [], [], []]
    assert first[1] == again[1] == back[1] != other[1]


def records_and_failures(results):
    """The records and the failures in two dicts."""
    return [{key: x for key, x in results.items() if isinstance(x, kind)} for kind in (shards.Record, Failure)]


@every_kind
def test_update_shard_returns_the_numbers_of_computed_and_failed_clips(kind):
    path, wanted = Path("0000.h5"), {"a": "1", "b": "1", "c": "1"}
    results = {"a": record(kind, "a"), "b": failure_of("b"), "c": record(kind, "c")}
    assert update.update_shard(path, kind, {}, wanted, lambda ids: [(key, results[key]) for key in ids]) == (3, 1)
    assert update.update_shard(path, kind, {}, wanted, lambda ids: []) == (0, 1)


@every_kind
def test_a_killed_run_keeps_its_finished_shards(kind):
    path, wanted = Path("s/0001.h5"), {"a": "1"}
    update.update_shard(path, kind, {}, wanted, lambda _: [("a", record(kind, "a"))])
    with pytest.raises(KeyboardInterrupt):
        update.update_shard(Path("s/0002.h5"), kind, {}, {"b": "1"}, lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert update.update_shard(path, kind, {}, wanted, lambda _: []) == (0, 0)
    assert list(bytes_of("s")) == ["0001.h5"]


@every_kind
def test_the_bytes_do_not_depend_on_when_python_frees_the_datasets(kind, monkeypatch):
    shard = shards.Shard({key: record(kind, key) for key in "abc"}, {}, dict.fromkeys("abc", "f"))
    shards.write_shard(Path("0000.h5"), kind, SETTINGS, shard)
    held, create = [], h5py.Group.create_dataset

    def create_and_hold(*arguments, **options):
        held.append(create(*arguments, **options))
        return held[-1]

    monkeypatch.setattr(h5py.Group, "create_dataset", create_and_hold)
    shards.write_shard(Path("0001.h5"), kind, SETTINGS, shard)
    assert len(held) > 5
    assert Path("0001.h5").read_bytes() == Path("0000.h5").read_bytes()


@every_kind
def test_a_clip_without_a_result_is_a_programming_error(kind):
    with pytest.raises(ValueError, match="records, failures and fingerprints disagree"):
        update.update_shard(Path("0000.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: [("a", record(kind, "a"))])
    assert not Path("0000.h5").exists()


@every_embedding_kind
def test_rows_of_different_shapes_are_a_programming_error(kind):
    other_shape = shards.Record({"embedding": np.zeros((3, 4), np.float32), "frames": np.array(1)})
    with pytest.raises(ValueError, match="same shape"):
        update.update_shard(
            Path("0.h5"), kind, {}, {"a": "1", "b": "1"}, lambda _: [("a", other_shape), ("b", record(kind, "b"))]
        )
    assert not Path("0.h5").exists()


def test_a_motion_clip_may_have_no_frames():
    path = Path("0000.h5")
    empty = shards.Record({"vectors": np.zeros((0, 3, 4, 2), np.int8), "kind": np.zeros(0, np.uint8)}, SIZE)
    update.update_shard(path, "motion", {}, {"a": "1"}, lambda _: [("a", empty)])
    assert update.update_shard(path, "motion", {}, {"a": "1", "b": "1"}, lambda _: [("b", failure_of("b"))]) == (1, 1)


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
        "0724ee88c4d7d805996add3c701a49d4eeb620acafcfedf13dbdc97183599608"
    )


def test_the_limited_memory_for_writing_changes_no_bytes(monkeypatch):
    attributes = {f"number{count}": count for count in range(6)} | SIZE | {"codec": "mpeg4", "source": "0" * 64}
    arrays = {"vectors": np.zeros((1, 3, 4, 2), np.int8), "kind": np.ones(1, np.uint8), "time": np.zeros(1)}
    records = {f"class__clip{number:03d}": shards.Record(arrays, attributes) for number in range(350)}
    shard = shards.Shard(records, {}, dict.fromkeys(records, "1"))
    shards.write_shard(Path("limited.h5"), "motion", SETTINGS, shard)
    monkeypatch.setattr(whole_file, "_WRITING", 32 << 20)  # the most that HDF5 takes by default
    shards.write_shard(Path("default.h5"), "motion", SETTINGS, shard)
    assert Path("limited.h5").read_bytes() == Path("default.h5").read_bytes()


def test_a_fingerprint_depends_on_content_and_settings_but_not_on_their_order():
    reference = shards.fingerprint("content", {"cell_size": 8, "version": 1})
    assert reference == shards.fingerprint("content", {"version": 1, "cell_size": 8})
    assert reference != shards.fingerprint("other", {"cell_size": 8, "version": 1})
    assert reference != shards.fingerprint("content", {"cell_size": 8, "version": 2})
