"""Stores that were made to do harm: links to other files, cycles, bombs, filters that load code, pipes."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import run_python, sentence_of
from stores import KINDS, build, editing, shard_of

from benchmarks.fuzz.hdf5 import lookup3
from mocliplite.store import hdf5, stores, structures, table_file, verification

pytestmark = pytest.mark.usefixtures("folder", "few_shards")
every_kind = pytest.mark.parametrize("kind", KINDS)


def is_refused(path, call, *arguments):
    sentence = sentence_of(call, *arguments)
    assert "\n" not in sentence
    return sentence.startswith((f"{path} is damaged (", f"{path} has schema None, "))


def replace_attribute(path, name, value):
    with editing(path) as file:
        del file.attrs[name]
        file.attrs[name] = value


ATTRIBUTES = {
    "schema, several numbers": ("schema", np.arange(3)),
    "schema, no value": ("schema", h5py.Empty("i8")),
    "settings, a number": ("settings", 5),
    "settings, no value": ("settings", h5py.Empty(h5py.string_dtype("utf-8", 5))),
    "settings, several texts": ("settings", np.array([b"{}", b"{}"], h5py.string_dtype("utf-8", 2))),
    "settings, nested deeply": ("settings", np.array(b"[" * 60_000, h5py.string_dtype("utf-8", 60_000))),
    "settings, half of a character": ("settings", np.array(b'{"a": "\\udc00"}', h5py.string_dtype("utf-8", 15))),
    "settings, no text": ("settings", np.array(b"\xff\xfe", h5py.string_dtype("utf-8", 2))),
}


@every_kind
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_another_type_is_refused(kind, name):
    build("s", kind)
    replace_attribute("s/0000.h5", *ATTRIBUTES[name])
    assert is_refused("s/0000.h5", stores.open_store, "s")
    assert any(sentence.startswith("s/0000.h5 ") for sentence in verification.verify("s"))


def test_a_reference_to_an_object_is_refused():
    build("s", "keyframes")
    with editing("s/0000.h5") as file:
        del file.attrs["kind"]
        file.attrs.create("kind", file.ref, dtype=h5py.ref_dtype)
    assert is_refused("s/0000.h5", stores.open_store, "s")


def test_an_id_that_is_a_path_does_not_lead_to_another_file():
    build("s", "motion")
    build("other", "motion")
    path = shard_of("clip07", "motion")
    with editing(path) as file:
        ids = [b"elsewhere/clip07" if clip_id == b"clip07" else clip_id for clip_id in file["ids"][:]]
        del file["ids"], file["clip07"]
        hdf5.write_array(file, "ids", [clip_id.decode() for clip_id in ids])
        file["elsewhere"] = h5py.ExternalLink(str(Path("other", path.name).resolve()), "/")
    opened = stores.open_store("s")
    assert is_refused(path, lambda: list(opened.records(["elsewhere/clip07"])))
    assert is_refused(path, opened.read_frames, "elsewhere/clip07", lambda _: [0])


@every_kind
def test_a_cycle_of_groups_ends_in_a_refusal(kind):
    build("s", kind)
    with editing("s/0000.h5") as file:
        file["loop"] = file["/"]
        file["failures/loop"] = file["/"]
        del file["failures"]
        file["failures"] = file["/"]
    assert is_refused("s/0000.h5", stores.open_store, "s")
    assert verification.verify("s")


def with_filter(file, rows, number):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1, 2, 4))
    properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))
    properties.set_obj_track_times(False)
    space = h5py.h5s.create_simple((rows, 2, 4))
    dataset = h5py.Dataset(h5py.h5d.create(file.id, b"embedding", h5py.h5t.NATIVE_FLOAT, space, properties))
    for row in range(rows):
        dataset.id.write_direct_chunk((row, 0, 0), bytes(32))


def compressed(file, rows):
    """Write 64 MiB per clip to 64 KiB."""
    file.create_dataset(
        "embedding", data=np.zeros((rows, 1 << 8, 1 << 16), "f4"), chunks=(1, 256, 65536), compression=9
    )


@pytest.mark.parametrize(
    "create", [lambda file, rows: with_filter(file, rows, 32015), compressed], ids=["an unknown filter", "a bomb"]
)
def test_a_filter_that_stores_do_not_use_is_not_applied(create):
    build("s", "keyframes")
    path = shard_of("clip07", "keyframes")
    with editing(path) as file:
        rows = len(file["ids"])
        del file["embedding"]
        create(file, rows)
    sentence = sentence_of(stores.open_store("s").read, ["clip07"])
    assert sentence.startswith(f"{path} is damaged (embedding needs filters that stores do not use")


def test_an_array_that_memory_does_not_hold_is_refused(monkeypatch):
    build("s", "keyframes")

    def full(*_):
        raise MemoryError("Unable to allocate 28.0 GiB")

    monkeypatch.setattr(hdf5, "read_array", full)
    wanted = "s/0000.h5 does not fit in memory (Unable to allocate 28.0 GiB); check where it comes from."
    assert sentence_of(stores.open_store, "s") == wanted


@every_kind
def test_a_pipe_or_a_device_in_place_of_a_shard_is_refused_without_opening_it(kind):
    build("s", kind)
    for number, put in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"))):
        shard = Path(f"s/000{number}.h5")
        shard.unlink()
        put(shard)
        assert sentence_of(stores.open_store, "s").startswith("s/0000.h5 is ")
        assert f"{shard} is missing; run `dvc pull s` or `dvc repro`." in verification.verify("s")


@pytest.mark.parametrize("count", [0, 2, 10, 12, 100, 1 << 18])
def test_a_wrong_number_of_members_does_not_reach_the_memory_of_the_process(count):
    arrays = {name: np.arange(3) for name in "abcdefghijk"}
    table_file.write_table("a.h5", "pairs", arrays, {})
    content = bytearray(Path("a.h5").read_bytes())
    # The header of the tree of members, of which bytes 26 to 34 are their number, and the last four its checksum.
    start = content.index(b"BTHD")
    content[start + 26 : start + 34] = count.to_bytes(8, "little")
    content[start + 34 : start + 38] = lookup3(bytes(content[start : start + 34])).to_bytes(4, "little")
    Path("a.h5").write_bytes(content)
    code = "import sys; from mocliplite.store import table_file; print(sorted(table_file.read_table('a.h5').arrays))"
    assert run_python("-c", code).stdout == f"{sorted(arrays)}\n"


def with_header(path, signature, start, number, width):
    """Write a number into the first structure with a signature, with the right checksum of the structure."""
    content = bytearray(path.read_bytes())
    at = content.index(signature)
    content[at + start : at + start + width] = number.to_bytes(width, "little")
    end = next(
        end
        for end in range(at + start + width, len(content))
        if lookup3(bytes(path.read_bytes()[at:end])) == int.from_bytes(content[end : end + 4], "little")
    )
    content[end : end + 4] = lookup3(bytes(content[at:end])).to_bytes(4, "little")
    path.write_bytes(content)


HEADERS = {
    "a tree with records of no bytes": (b"BTHD", 10, 0, 2),
    "a tree with nodes of 3 bytes": (b"BTHD", 6, 3, 4),
    "a tree of another type": (b"BTHD", 5, 1, 1),
    "a tree with too many records in its root": (b"BTHD", 24, 65535, 2),
    "a tree with too many records in a leaf": (b"BTIN", 6 + 3 * 11 + 8, 200, 1),
    "a tree of trees": (b"BTHD", 12, 65535, 2),
    "a tree beyond the end": (b"BTHD", 16, 1 << 62, 8),
    "a heap without a width": (b"FRHP", 110, 0, 2),
    "a heap with blocks of no bytes": (b"FRHP", 112, 0, 8),
    "a heap with too many rows": (b"FRHP", 140, 65535, 2),
    "a heap with IDs of no bytes": (b"FRHP", 5, 0, 2),
    "a header that continues beyond the end": (b"OHDR", 6, 255, 1),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_would_end_the_process_is_refused(name):
    arrays = {f"array{number:03d}": np.arange(3) for number in range(150)}
    path = Path("a.h5")
    table_file.write_table(path, "pairs", arrays, {})
    with_header(path, *HEADERS[name])
    assert is_refused(path, table_file.read_table, path)


def test_an_attribute_in_another_place_is_refused():
    path = Path("a.h5")
    with hdf5.create_file(path, "pairs", {}, {"long": "x" * 70_000}) as file:  # so that the attributes are in a tree
        hdf5.write_array(file, "a", np.arange(3))
    with_header(path, b"BTLF\0\x08", 6 + 8, 2, 1)
    assert is_refused(path, table_file.read_table, path)


def test_a_file_that_begins_with_another_is_refused():
    path = Path("a.h5")
    table_file.write_table(path, "pairs", {"a": np.arange(3)}, {})
    with h5py.File("other.h5", "w", libver=("v110", "v110")) as file:
        file["a"] = np.arange(9)
    content = path.read_bytes()
    path.write_bytes(Path("other.h5").read_bytes()[:512].ljust(512, b"\0") + content[512:])
    assert is_refused(path, table_file.read_table, path)


def test_an_array_that_could_grow_is_refused():
    path, shape = Path("a.h5"), np.array([200_000, 3], "<i8").tobytes()
    table_file.write_table(path, "pairs", {"a": np.zeros((200_000, 3))}, {})
    content = path.read_bytes()
    start = content.rindex(b"OHDR", 0, content.index(2 * shape))
    with_header(path, content[start : start + 8], content.index(2 * shape) + 16 + 8 - start, 1 << 39, 8)
    assert is_refused(path, table_file.read_table, path)


@pytest.mark.parametrize("place", [5, 6, 7], ids=["more rows", "more columns", "longer values"])
def test_chunks_that_do_not_fit_their_array_are_refused(place):
    path = Path("a.h5")
    table_file.write_table(path, "pairs", {"a": np.zeros((20, 3))}, {})
    content = path.read_bytes()
    chunk = bytes([4, 2, 2, 3, 1, 20, 3, 8])  # the layout, up to the shape of a chunk and the size of a value
    start = content.rindex(b"OHDR", 0, content.index(chunk))
    with_header(path, content[start : start + 8], content.index(chunk) - start + place, 200, 1)
    assert is_refused(path, table_file.read_table, path)


def test_a_chunk_with_fewer_bytes_than_its_array_is_refused():
    build("s", "keyframes")
    path = shard_of("clip07", "keyframes")
    with editing(path) as file:
        rows = len(file["ids"])
        del file["embedding"]
        dataset = file.create_dataset("embedding", (rows, 2, 4), "f4", chunks=(rows, 2, 4), fletcher32=True)
        dataset.id.write_direct_chunk((0, 0, 0), bytes(8))
    assert is_refused(path, stores.open_store("s").read, ["clip07"])


def test_a_file_of_another_format_of_hdf5_is_refused():
    for version in ("earliest", "v110"):
        with h5py.File(
            "a.h5", "w", libver=(version, "v110"), userblock_size=512, track_order=version == "v110"
        ) as file:
            hdf5.write_attributes(file, hdf5.file_attributes("pairs", {}, {}))
            hdf5.write_array(file, "a", np.arange(3))
        assert is_refused("a.h5", table_file.read_table, "a.h5")


@pytest.mark.parametrize(
    ("stored", "reason"), [(3875, "more than the file can contain"), (3876, "Decompression failed")]
)
def test_an_array_larger_than_deflate_can_compress_is_not_decompressed(stored, reason):
    build("s", "motion")
    path, shape = shard_of("clip07", "motion"), (2, 1000, 1000, 2)  # 3,875.97 times 1032 bytes
    with editing(path) as file:
        group = file["clip07"]
        del group["vectors"]
        vectors = group.create_dataset("vectors", shape, "int8", chunks=shape, compression="gzip")
        vectors.id.write_direct_chunk((0, 0, 0, 0), bytes(stored))
    sentence = sentence_of(lambda: list(stores.open_store("s").records(["clip07"])))
    assert sentence.startswith(f"{path} is damaged (")
    assert reason in sentence


def test_an_address_beyond_the_end_of_a_file_is_refused():
    content = bytes(structures.USERBLOCK + 100)

    def read(length, start):
        return content[start : start + length]

    assert len(structures._bytes(read, 52, 48)) == 48
    for address, length in ((53, 48), (100, 0), (structures._UNDEFINED, 48), (0, -1)):
        with pytest.raises(ValueError, match=r"^it refers to bytes that it does not have$"):
            structures._bytes(read, address, length)
