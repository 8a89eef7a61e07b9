"""The number of shards of a store, and stores that change it."""

from itertools import chain
from pathlib import Path

import pytest
import stores as built
from builders import sentence_of
from stores import IDS, KINDS, SETTINGS, build, bytes_of, failure_of, record, values
from windows import refuse_open_files

from mocliplite.errors import Failure
from mocliplite.store import export, info, layout, shards, stores, update, verification

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def small_grain(few_shards, monkeypatch):
    """Four clips per shard: 6 clips have as many shards as before, and 30 clips two or four times as many."""
    monkeypatch.setattr(layout, "CLIPS_PER_SHARD", 4)


@pytest.mark.parametrize(
    ("kind", "clips", "wanted"),
    [
        ("motion", 16_384, 64),
        ("motion", 16_385, 128),
        ("motion", 240_000, 1024),
        ("motion", 10**8, 16_384),
        ("keyframes", 4096, 16),
        ("keyframes", 13_320, 64),
        ("motion_embeddings", 240_000, 1024),
    ],
)
def test_the_number_of_shards_by_kind_and_number_of_clips(kind, clips, wanted):
    assert layout.number_of_shards(kind, clips) == wanted


@every_kind
@pytest.mark.usefixtures("small_grain")
def test_more_clips_divide_the_shards_and_only_new_clips_are_computed(kind):
    build("s", kind, IDS[:6], failed=["clip03"])
    few = bytes_of("s")
    assert sorted(build("s", kind, IDS, failed=["clip03"])) == IDS[6:]
    build("fresh", kind, IDS, failed=["clip03"])
    assert bytes_of("s") == bytes_of("fresh")
    opened = stores.open_store("s")
    assert opened.shards == len(list(Path("s").glob(f"*-of-{opened.shards}.h5"))) == {5: 10, 4: 8, 3: 12}[len(few) - 2]
    assert build("s", kind, IDS[:6]) == []
    assert bytes_of("s") == few


@every_kind
@pytest.mark.usefixtures("small_grain")
def test_a_store_of_many_shards_is_read_verified_described_and_exported(kind):
    build("s", kind, IDS)
    opened = stores.open_store("s")
    assert values(opened, IDS) == [
        {name: array.tolist() for name, array in record(kind, key).arrays.items()} for key in IDS
    ]
    assert opened.verify() == []
    assert f"in {opened.shards} shards" in info.describe("s")
    assert export.export_store("s", "parquet").is_file()
    assert f"\n{opened.shards} HDF5 files." in Path("s/README.md").read_text()
    missing = layout.shard_path("s", kind, 2, opened.shards)
    missing.unlink()
    wanted = f"{missing} is missing; run `dvc pull s` or `dvc repro`."
    assert verification.verify("s") == [wanted]
    assert sentence_of(stores.open_store, "s") == wanted


@every_kind
@pytest.mark.usefixtures("small_grain")
def test_a_run_that_was_killed_while_it_divides_the_shards_is_completed(kind, monkeypatch):
    build("s", kind, IDS[:6])
    few, many = layout.number_of_shards(kind, 6), layout.number_of_shards(kind, 30)
    last = list(chain.from_iterable(layout.by_shard(IDS[6:], many)))[
        4
    ]  # others than the first shards are not divided yet

    def killed(kind, clip_id):
        if clip_id == last:
            raise KeyboardInterrupt
        return record(kind, clip_id)

    with monkeypatch.context() as patch:
        patch.setattr(built, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            build("s", kind, IDS)
    sentence = sentence_of(stores.open_store, "s")
    assert sentence.startswith(f"s has files of {few} and of {many} shards, because a run was stopped; run `dvc repro`")
    assert verification.verify("s") == [sentence]
    again = build("s", kind, IDS)
    assert last in again
    assert {*again} < {*IDS[6:]}
    build("fresh", kind, IDS)
    assert bytes_of("s") == bytes_of("fresh")


def divide(folder, kind):
    """Update the shards of IDS in order; yield the number of each that is written."""
    for number, (path, ids) in enumerate(layout.ids_by_path(folder, kind, IDS).items()):
        fingerprints = dict.fromkeys(ids, shards.fingerprint("v1", {}))
        update.update_shard(path, kind, SETTINGS, fingerprints, lambda new: [(key, record(kind, key)) for key in new])
        yield number


@every_kind
@pytest.mark.usefixtures("small_grain")
def test_a_shard_is_removed_once_all_shards_that_divide_it_are_written(kind):
    build("s", kind, IDS[:6])
    old = list(layout.ids_by_path("s", kind, IDS[:6]))
    many = layout.number_of_shards(kind, 30)
    for written in divide("s", kind):
        to_write = {number % len(old) for number in range(written + 1, many)}
        assert [shard.exists() for shard in old] == [number in to_write for number in range(len(old))]


@pytest.mark.usefixtures("small_grain")
def test_a_system_that_removes_no_open_file_keeps_a_divided_shard_to_the_end_of_the_run(monkeypatch):
    kind = "keyframes"
    build("s", kind, IDS[:6])
    first = next(iter(layout.ids_by_path("s", kind, IDS[:6])))
    refuse_open_files(monkeypatch)
    with first.open("rb"):  # as another worker does
        assert len(list(divide("s", kind))) == layout.number_of_shards(kind, 30)
    assert first.exists()
    assert build("s", kind, IDS) == []
    assert not first.exists()


@every_kind
@pytest.mark.usefixtures("few_shards")
def test_a_killed_run_keeps_in_parts_what_it_has_computed(kind, monkeypatch):
    path, wanted = Path("s/0000.h5"), dict.fromkeys(["a", "b", "c", "d"], "1")
    results = {"a": failure_of("a"), **{key: record(kind, key) for key in "bcd"}}
    monkeypatch.setattr(update, "_MAX_SECONDS", 0)

    def killed(ids):
        yield from ((key, results[key]) for key in ids[:3])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update.update_shard(path, kind, {}, wanted, killed)
    assert update.ids_to_compute(path, kind, {}, wanted) == ["d"]
    assert update.ids_to_compute(path, kind, {}, wanted | {"b": "2"}) == ["b", "d"]
    assert update.ids_to_compute(path, kind, {"other": 1}, wanted) == ["a", "b", "c", "d"]
    assert update.update_shard(path, kind, {}, wanted, lambda ids: [(key, results[key]) for key in ids]) == (1, 1)
    assert not list(Path("s/.parts").iterdir())
    expected = shards.Shard({key: results[key] for key in "bcd"}, {"a": results["a"]}, wanted)
    shards.write_shard(Path("expected.h5"), kind, {}, expected)
    assert path.read_bytes() == Path("expected.h5").read_bytes()


@every_kind
@pytest.mark.usefixtures("few_shards")
def test_of_two_workers_with_the_same_shard_the_second_uses_the_results_of_the_first(kind, monkeypatch):
    path, wanted = Path("s/0000.h5"), dict.fromkeys(["a", "b", "c"], "1")
    results = {key: record(kind, key) for key in "abc"}
    monkeypatch.setattr(update, "_MAX_BYTES", 0)

    def first(ids):
        yield from ((key, results[key]) for key in ids)

    def second(ids):
        yield "a", results["a"]
        update.update_shard(path, kind, {}, wanted, first)
        yield "b", results["b"]
        yield "c", Failure("memory ran out.", retry=True)

    update.update_shard(path, kind, {}, wanted, second)
    shards.write_shard(Path("expected.h5"), kind, {}, shards.Shard(results, {}, wanted))
    assert path.read_bytes() == Path("expected.h5").read_bytes()


@pytest.mark.usefixtures("few_shards")
def test_a_part_that_somebody_removes_is_one_sentence(monkeypatch):
    monkeypatch.setattr(update, "_MAX_BYTES", 0)

    def remove_parts(ids):
        yield "a", record("keyframes", "a")
        for part in Path("s/.parts").iterdir():
            part.unlink()
        yield "b", failure_of("b")

    wanted = dict.fromkeys("ab", "1")
    sentence = sentence_of(update.update_shard, Path("s/0000.h5"), "keyframes", {}, wanted, remove_parts)
    assert sentence.startswith("s/.parts/0000.")
    assert sentence.endswith(".h5 was removed while it was read; run `dvc repro` again.")


@every_kind
def test_a_record_in_a_part_takes_precedence_over_a_failure_in_another(kind):
    failed = shards.Shard({}, {"a": Failure("memory ran out.", retry=True)}, {"a": "1"})
    retried = shards.Shard({"a": record(kind, "a")}, {}, {"a": "1"})
    shards.write_shard(Path("s/.parts/0000.0000000000000000.h5"), kind, {}, failed)
    assert update.ids_to_compute(Path("s/0000.h5"), kind, {}, {"a": "1"}) == ["a"]
    shards.write_shard(Path("s/.parts/0000.ffffffffffffffff.h5"), kind, {}, retried)
    assert update.ids_to_compute(Path("s/0000.h5"), kind, {}, {"a": "1"}) == []
