"""Damaged and malicious files: every bit that carries meaning is checked, and no content is trusted."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import sentence_of
from stores import IDS, KINDS, alter, build, bytes_of, editing, flip, neighbour_of, record, shard_of, values

from mocliplite import files
from mocliplite.errors import UserError
from mocliplite.store import shards, stores, table_file, verification

pytestmark = pytest.mark.usefixtures("folder", "few_shards")
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_an_intact_store_has_no_damage(kind):
    build("s", kind, failed=["clip03"])
    assert stores.open_store("s").verify() == []
    build("empty", kind, [])
    assert verification.verify("empty") == []


def test_a_folder_without_a_store_cannot_be_verified():
    Path("s").mkdir()
    wanted = "s is not a feature store, or is not pulled yet; run `dvc pull s` or `dvc repro`."
    assert sentence_of(verification.verify, "s") == wanted


@every_kind
def test_all_randomly_flipped_bits_are_reported(kind):
    build("s", kind, IDS[:8], failed=["clip03"])
    rng, original = np.random.default_rng(KINDS.index(kind)), bytes_of("s")
    sizes = np.array([len(original[name]) for name in sorted(original)])
    names = rng.choice(sorted(original), size=200, p=sizes / sizes.sum())
    for name in names:
        flip(Path("s", name), int(rng.integers(len(original[name]))), int(rng.integers(8)))
        found = verification.verify("s")
        assert found
        assert all(f"s/{name}" in sentence for sentence in found)
        Path("s", name).write_bytes(original[name])
    assert verification.verify("s") == []


@every_kind
def test_a_flipped_bit_that_readers_do_not_detect_changes_no_value(kind):
    build("s", kind, failed=["clip03"])
    path, ids = shard_of("clip07", kind), stores.open_store("s").ids
    expected, whole, undetected = values(stores.open_store("s"), ids), path.read_bytes(), 0
    positions = np.random.default_rng(0).choice(len(whole), 100, replace=False)
    for position in map(int, positions):
        flip(path, position)
        try:
            opened = stores.open_store("s")
            assert (opened.ids, values(opened, ids)) == (ids, expected)
            undetected += 1
        except UserError:
            pass
        path.write_bytes(whole)
    assert 0 < undetected < 100


def chunk_of(path, name, number=0):
    with h5py.File(path) as file:
        return file[name].id.get_chunk_info(number)


def test_damage_in_motion_names_the_clip():
    build("s", "motion")
    path = shard_of("clip07", "motion")
    flip(path, chunk_of(path, "clip07/vectors").byte_offset + 3)
    (found,) = verification.verify("s")
    assert found.startswith(f"{path}: clip clip07 is damaged (")


def test_damage_in_embeddings_names_the_clips_of_the_chunk():
    build("s", "keyframes")
    path = shard_of("clip07", "keyframes")
    flip(path, chunk_of(path, "embedding").byte_offset + 3)
    with h5py.File(path) as file:
        ids = file["ids"].asstr()[:].tolist()
    tail = "is damaged (embedding); restore it with `dvc checkout -f` or delete it."
    assert verification.verify("s") == [f"{path}: clip {clip_id} {tail}" for clip_id in ids]


def test_damage_in_a_table_is_reported():
    table_file.write_table("t.h5", "pairs", {"label": np.arange(5), "logit_scale": np.array(4.6)}, {})
    assert verification.verify("t.h5") == []
    whole = Path("t.h5").read_bytes()
    for content in (np.arange(5).tobytes(), np.array(4.6).tobytes(), b"sha256"):
        flip("t.h5", whole.index(content) + 1)
        (found,) = verification.verify("t.h5")
        assert found.startswith("t.h5 is damaged (")
        Path("t.h5").write_bytes(whole)


@every_kind
def test_a_missing_shard_is_reported_and_the_others_are_verified(kind):
    build("s", kind)
    Path("s/0000.h5").unlink()
    Path("s/0001.h5").write_bytes(b"")
    missing, damaged = verification.verify("s")
    assert missing == "s/0000.h5 is missing; run `dvc pull s` or `dvc repro`."
    assert damaged.startswith("s/0001.h5 is damaged (")


@every_kind
def test_other_files_in_the_folder_are_reported(kind):
    build("s", kind)
    Path("s/notes.txt").write_text("")
    assert verification.verify("s") == ["s/notes.txt does not belong to the store; remove it."]


def test_the_files_of_a_run_that_is_writing_the_store_are_not_to_be_removed():
    build("s", "keyframes")
    here, other = f".0003.h5.{files._HOST}", ".0003.h5.0a1b2c3d"
    for name in (f"{here}.{os.getppid()}.0.partial", f"{here}.{os.getppid()}.1.partial"):
        Path("s", name).touch()
    busy = "another run is writing s; wait for it or stop it, and run again."
    assert verification.verify("s") == [busy]
    Path("s", f"{other}.4242.0.partial").touch()
    elsewhere = "a run on another machine is writing s; wait for it or stop it, and run again."
    remove = f"If it was killed, remove s/{other}.4242.0.partial."
    assert sorted(verification.verify("s")) == [f"{elsewhere} {remove}", busy]


def test_the_files_of_a_killed_run_and_those_of_other_names_are_to_be_removed():
    build("s", "keyframes")
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    names = [f".0003.h5.{files._HOST}.{finished.pid}.0.partial", ".0003.h5.4242.partial", ".partial", ".x.partial"]
    for name in names:
        Path("s", name).touch()
    assert verification.verify("s") == [f"s/{name} does not belong to the store; remove it." for name in sorted(names)]


@pytest.mark.parametrize("name", ["README.md", "failures.csv"])
def test_sidecar_files_must_match_the_shards(name):
    build("s", "keyframes", failed=["clip03"])
    Path("s", name).write_text("other text")
    wanted = f"s/{name} does not match the shards; restore it with `dvc checkout -f` or delete it."
    assert verification.verify("s") == [wanted]


def reason(path, call, *arguments):
    head, tail = f"{path} is damaged (", "); restore it with `dvc checkout -f` or delete it."
    sentence = sentence_of(call, *arguments)
    assert sentence.startswith(head), sentence
    assert sentence.endswith(tail), sentence
    return sentence.removeprefix(head).removesuffix(tail)


def replace_member(path, name, create):
    """Replace a member of the file by the result of create(file)."""
    with editing(path) as file:
        del file[name]
        file[name] = create(file)


WRONG_IDS = {
    "a soft link": (lambda _: h5py.SoftLink("/fingerprint"), "is a link or not a dataset"),
    "an external link": (lambda _: h5py.ExternalLink("/etc/other.h5", "/ids"), "is a link or not a dataset"),
    "a group": (lambda file: file.create_group("elsewhere"), "which stores do not use"),  # because it has two names
    "variable-length text": (lambda _: np.array([b"a"], dtype=h5py.string_dtype()), "which stores do not use"),
    "a compound type": (lambda _: np.zeros(1, dtype=[("a", int)]), "which stores do not use"),
    "numbers": (lambda _: np.zeros(3), "not U [None]"),
    "two-dimensional text": (lambda _: np.array([[b"a"]], dtype=h5py.string_dtype("utf-8", 1)), "not U [None]"),
}


@pytest.mark.parametrize("name", WRONG_IDS)
def test_ids_of_another_type_are_refused(name):
    build("s", "keyframes")
    create, wanted = WRONG_IDS[name]
    replace_member("s/0002.h5", "ids", create)
    assert wanted in reason("s/0002.h5", stores.open_store, "s")
    assert verification.verify("s")
    assert reason("s/0002.h5", build, "s", "keyframes")


def replace_embeddings(path, create):
    with editing(path) as file:
        count = len(file["ids"])
        del file["embedding"]
        create(file, count)


def external(file, count):
    Path("raw.bin").write_bytes(bytes(count * 32))
    file.create_dataset("embedding", (count, 2, 4), "f4", external=[(str(Path("raw.bin").resolve()), 0, count * 32)])


def virtual(file, count):
    source = h5py.VirtualSource("other.h5", "embedding", (count, 2, 4), "f4")
    layout = h5py.VirtualLayout((count, 2, 4), "f4")
    layout[:] = source
    file.create_virtual_dataset("embedding", layout)


WRONG_EMBEDDINGS = {
    "of another type": (lambda file, count: file.create_dataset("embedding", data=np.zeros((count, 2, 4))), "float64"),
    "with surplus rows": (lambda file, n: file.create_dataset("embedding", data=np.zeros((n + 1, 2, 4), "f4")), "not"),
    "without an axis": (lambda file, count: file.create_dataset("embedding", data=np.zeros((count, 2), "f4")), "not"),
    "in another file": (external, "a message of type 7, which stores do not use"),
    "virtual": (virtual, "an object header that stores do not use"),
    "compressed with another filter": (
        lambda file, n: file.create_dataset("embedding", data=np.zeros((n, 2, 4), "f4"), compression="lzf"),
        "needs filters that stores do not use",
    ),
    "larger than the file can contain": (
        lambda file, n: file.create_dataset("embedding", (n, 1 << 20, 1 << 20), "f4", chunks=(1, 1, 1 << 20)),
        "more than the file can contain",
    ),
    "with missing chunks": (
        lambda file, n: file.create_dataset("embedding", (n, 2, 4), "f4", chunks=(1, 2, 4)).__setitem__(0, 1),
        "has missing chunks",
    ),
}


@pytest.mark.parametrize("name", WRONG_EMBEDDINGS)
def test_embeddings_of_another_layout_are_refused(name):
    build("s", "keyframes")
    path, (create, wanted) = shard_of("clip07", "keyframes"), WRONG_EMBEDDINGS[name]
    replace_embeddings(path, create)
    assert wanted in reason(path, stores.open_store("s").read, ["clip07"])
    assert any(str(path) in sentence for sentence in verification.verify("s"))
    assert reason(path, build, "s", "keyframes", [*IDS, neighbour_of("clip07", "keyframes")])


@pytest.mark.parametrize("name", ["vectors", "kind"])
def test_motion_arrays_that_are_links_are_refused(name):
    build("s", "motion")
    path = shard_of("clip07", "motion")
    replace_member(path, f"clip07/{name}", lambda _: h5py.ExternalLink("other.h5", "/x"))
    wanted = f"{name} is a link or not a dataset"
    assert reason(path, list, stores.open_store("s").records(["clip07"])) == wanted
    assert reason(path, stores.open_store("s").read_frames, "clip07", lambda _: [0]) == wanted
    assert any("clip07" in sentence for sentence in verification.verify("s"))


def test_a_clip_that_is_a_link_is_refused():
    build("s", "motion")
    path = shard_of("clip07", "motion")
    replace_member(path, "clip07", lambda _: h5py.SoftLink("/failures"))
    assert reason(path, list, stores.open_store("s").records(["clip07"])) == "clip07 is a link or not a group"


def test_a_clip_with_arrays_of_different_lengths_is_reported():
    build("s", "motion")
    path = shard_of("clip07", "motion")
    replace_member(path, "clip07/kind", lambda _: np.zeros(99, np.uint8))
    (found,) = verification.verify("s")
    assert found.startswith(f"{path}: clip clip07 is damaged (not all of its arrays have ")


@every_kind
def test_a_clip_in_the_wrong_shard_is_reported(kind):
    path = shard_of("clip07", kind)
    build("s", kind)
    wrong = next(key for key in IDS if shard_of(key, kind) != path)
    shard = shards.Shard({wrong: record(kind, wrong)}, {}, {wrong: "f"})
    shards.write_shard(path, kind, {"cell_size": 8, "views": ["plain"]}, shard)
    assert reason_in(verification.verify("s")) == f"clip {wrong} belongs to another shard"


def reason_in(damage):
    (sentence,) = damage
    return sentence.partition("(")[2].rpartition(")")[0]


@every_kind
@pytest.mark.parametrize("settings", ["[1]", "{", "7"])
def test_settings_that_are_not_a_json_object_are_refused(kind, settings):
    build("s", kind)
    alter("s/0000.h5", settings=settings)
    assert reason("s/0000.h5", stores.open_store, "s")


@every_kind
def test_no_file_has_text_of_variable_length_whose_heap_has_no_checksum(kind):
    build("s", kind, IDS[:8], failed=["clip03"])
    texts = []
    for path in sorted(Path("s").glob("*.h5")):
        with h5py.File(path) as file:
            groups = [file, *(member for member in file.values() if isinstance(member, h5py.Group))]
            types = [group.attrs.get_id(name).dtype for group in groups for name in group.attrs]
            texts += [h5py.check_string_dtype(dtype) for dtype in types if h5py.check_string_dtype(dtype)]
    assert len(texts) >= 6
    assert all(text.length for text in texts)


def test_attributes_of_any_length_come_back():
    settings = {"names": ["é" * 40_000, "x" * 40_000]}
    table_file.write_table("t.h5", "prompts", {"a": np.zeros(3)}, settings)
    assert table_file.read_table("t.h5").settings == settings


def test_shards_of_a_stopped_run_with_other_settings_are_one_sentence():
    build("s", "motion")
    build("other", "motion", settings={"cell_size": 16})
    Path("other/0000.h5").rename("s/0000.h5")
    rest = len(list(Path("s").glob("*.h5"))) - 1
    assert verification.verify("s") == [
        f's has shards of different settings ({rest} with cell_size: 8, views: ["plain"]; 1 with cell_size: 16, '
        "views: null), because a run was stopped; run `dvc repro` to complete it with params.yaml, or go back with "
        "`git restore -SW . && dvc checkout -f --allow-missing`."
    ]
    flip(Path("s/0000.h5"), 3000)
    assert [line.split(" ")[0] for line in verification.verify("s")] == ["s/0000.h5", "s"]
