"""Embeddings made elsewhere: every format gives the same arrays, and every file that cannot be used a sentence."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import CHECKOUT, sentence_of

from mocliplite.encoders import own_features
from mocliplite.encoders.own_features import read_own_features

pytestmark = pytest.mark.usefixtures("folder")

PATHS = {"Hop__a": "Hop/a.avi", "Hop__b": "Hop/b.avi", "Run__c.x": "Run/c.x.mp4"}
SOURCES = dict.fromkeys(PATHS, "0")
CLASSES = {"classes": np.array(["Run", "Hop"]), "class_embedding": np.eye(2, 4), "logit_scale": np.array(50.0)}


def arrays_of(**changes):
    """Return the arrays of a file with two frames of three clips; None removes an array."""
    rows = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    arrays = {"ids": np.array(list(PATHS)), "embedding": rows, "name": np.array("vit 1"), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


def read(**changes):
    np.savez("f.npz", **arrays_of(**changes))
    return read_own_features("f.npz")


def rows_of(features):
    found = own_features.arrays_by_clip(features, PATHS, SOURCES)
    return {clip_id: arrays["embedding"].tolist() for clip_id, arrays in found.items()}


def write_parquet(arrays, metadata=(("name", "vit 1"),)):
    columns = {"id": pa.array(arrays["ids"].tolist()), "embedding": pa.array(arrays["embedding"].tolist())}
    pq.write_table(pa.table(columns).replace_schema_metadata(dict(metadata)), "f.parquet")


def write_folder(arrays, names):
    for name, row in zip(names, arrays["embedding"], strict=True):
        Path("f", name).parent.mkdir(parents=True, exist_ok=True)
        np.save(Path("f", name), row)
    Path("f/name.txt").write_text("vit 1\n")


def test_rows_of_segments_are_named_by_their_ids():
    paths = {"Hop__a@0-1": "Hop/a.avi", "Hop__a@1-2": "Hop/a.avi", "Run__c.x": "Run/c.x.mp4"}
    sources = dict.fromkeys(paths, "0")
    found = own_features.arrays_by_clip(read(ids=np.array(list(paths))), paths, sources)
    assert list(found) == list(paths)
    by_path = read(ids=np.array(["Hop/a.avi", "Hop__a@1-2", "Run/c.x.mp4"]))
    sentence = sentence_of(own_features.arrays_by_clip, by_path, paths, sources)
    assert sentence.startswith("f.npz has 1 rows of no clip in features/clips.csv, such as 'Hop/a.avi'; name rows by ")


@pytest.mark.parametrize("character", [0xD800, 0x110000])
@pytest.mark.parametrize("array", ["name", "ids", "classes"])
def test_text_that_is_no_unicode_is_refused(array, character):
    arrays = arrays_of(**CLASSES)
    text = arrays[array].astype("<U9")
    text.reshape(-1).view(np.uint32)[0] = character
    np.savez("f.npz", **arrays | {array: text})
    assert sentence_of(read_own_features, "f.npz").startswith(f"f.npz: {array} is no Unicode text (")


# Formats


def test_npz_parquet_and_a_folder_give_the_same():
    arrays = arrays_of()
    np.savez("f.npz", **arrays)
    write_parquet(arrays)
    write_folder(arrays, [f"{name}.npy" for name in PATHS])
    wanted = {clip_id: row.tolist() for clip_id, row in zip(PATHS, arrays["embedding"], strict=True)}
    for path in ("f.npz", "f.parquet", "f"):
        found = read_own_features(path)
        assert found.name == "vit 1"
        assert rows_of(found) == wanted


@pytest.mark.parametrize("names", [PATHS.values(), ["Hop/a", "Hop/b", "Run/c.x"], ["Hop__a", "Hop/b", "Run/c.x.mp4"]])
def test_a_clip_may_be_named_by_its_path(names):
    arrays = arrays_of()
    write_folder(arrays, [f"{name}.npy" for name in names])
    assert rows_of(read_own_features("f")) == rows_of(read(ids=np.array(list(names)))) == rows_of(read())


def test_rows_may_be_in_any_order():
    arrays = arrays_of()
    assert rows_of(read(ids=arrays["ids"][::-1], embedding=arrays["embedding"][::-1])) == rows_of(read())


def test_one_vector_per_clip_is_one_frame():
    assert read(embedding=np.ones((3, 4), np.float16)).embedding.tolist() == np.ones((3, 1, 4)).tolist()


def test_the_key_depends_on_the_content_and_not_on_the_path():
    first = own_features.cache_key(read())
    Path("f.npz").rename("elsewhere.npz")
    assert own_features.cache_key(read_own_features("elsewhere.npz")) == first
    assert own_features.cache_key(read(name=np.array("vit 2")))["features"] != first["features"]
    write_folder(arrays_of(), [f"{name}.npy" for name in PATHS])
    before = read_own_features("f").digest
    np.save("f/Hop__a.npy", np.zeros((2, 4), np.float32))
    assert read_own_features("f").digest != before


def test_the_example_in_the_docs_is_a_file_that_can_be_used():
    page = (CHECKOUT / "docs/encoders.md").read_text()
    exec(re.search("```python\n(.*?)```", page, re.DOTALL)[1], {})
    features = read_own_features("features_of_my_model.npz")
    assert features.embedding.shape == (2, 1, 512)
    assert own_features.prompts(features, ["Rolling", "Falling"])["embedding"].shape == (2, 512)


# Classes


def test_class_embeddings_are_in_the_order_of_the_classes_and_of_unit_length():
    found = own_features.prompts(read(**CLASSES | {"class_embedding": np.eye(2, 4) * 3}), ["Hop", "Run"])
    assert found["embedding"].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert found["logit_scale"] == 50


def test_class_embeddings_of_unit_length_stay_the_same_bytes():
    rows = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = own_features.prompts(read(**CLASSES | {"class_embedding": rows}), ["Run", "Hop"])
    assert found["embedding"].tobytes() == rows.tobytes()


def test_without_classes_there_are_no_prompts():
    assert own_features.prompts(read(), ["Hop", "Run"]) == {}


def test_a_class_that_is_missing_is_named():
    assert sentence_of(own_features.prompts, read(**CLASSES), ["Hop", "Run", "Sit"]) == (
        "f.npz: classes lacks 1 of 3 classes, such as Sit; add it, or remove classes, class_embedding, logit_scale."
    )


# Clips


def test_a_clip_without_a_row_is_named_and_counted():
    features = read(ids=np.array(["Hop__a"]), embedding=np.ones((1, 4)))
    assert sentence_of(own_features.arrays_by_clip, features, PATHS, SOURCES) == (
        "f.npz has no embedding of 2 of 3 clips, such as Hop__b; add it, or exclude such clips by dataset.include."
    )


def test_a_row_without_a_clip_is_named_and_counted():
    features = read(ids=np.array(["Hop__a", "Hop__b", "Run__d"]))
    assert sentence_of(own_features.arrays_by_clip, features, PATHS, SOURCES) == (
        "f.npz has 1 rows of no clip in features/clips.csv, such as 'Run__d'; name rows by the ids or paths in that "
        "file, and remove all others."
    )


def test_two_rows_of_one_clip_are_refused():
    features = read(ids=np.array(["Hop__a", "Hop/a.avi", "Hop__b"]))
    wanted = "f.npz has two rows of clip Hop__a; remove one."
    assert sentence_of(own_features.arrays_by_clip, features, PATHS, SOURCES) == wanted


def test_embeddings_of_another_video_are_refused():
    features = read(source=np.array(["0", "1", "0"]))
    assert sentence_of(own_features.arrays_by_clip, features, PATHS, SOURCES) == (
        "f.npz was made from other videos than those in features/clips.csv of 1 clips, such as Hop__b; embed these "
        "clips again."
    )


# Files that cannot be used

NAN = arrays_of()["embedding"]
NAN[1, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"name": None}, "f.npz has no name; docs/encoders.md describes the format."),
        ({"name": np.array(" ")}, "f.npz: name is empty; it must say which model and version made the embeddings."),
        ({"ids": np.arange(3)}, "f.npz: ids is of type int64; it must be text."),
        ({"ids": np.array(["Hop__a"])}, "f.npz: ids is [1]; it must be [3]."),
        ({"embedding": np.ones((3, 4), int)}, "f.npz: embedding is of type int64; it must be floating-point numbers."),
        ({"embedding": np.ones(3)}, "f.npz: embedding is [3]; it must be [N, D] or [N, F, D], and not empty."),
        ({"embedding": np.ones((3, 0))}, "f.npz: embedding is [3, 0]; it must be [N, D] or [N, F, D], and not empty."),
        ({"embedding": NAN}, "f.npz: embedding of Hop__b (1 in all) is not finite; embed it again."),
        (
            {"embedding": np.full((3, 4), 1e300)},
            "f.npz: embedding of Hop__a (3 in all) is not finite; embed it again.",
        ),
        ({"frame": np.zeros((3, 1), int)}, "f.npz: frame is [3, 1]; it must be [3, 2]."),
        (
            {"emb": np.ones(3)},
            "f.npz contains emb, which is none of ids, name, settings, source, classes, embedding, time, "
            "class_embedding, logit_scale, frame; rename or remove it.",
        ),
        (
            {"classes": np.array(["Hop"])},
            "f.npz has classes but no class_embedding; give all of classes, class_embedding, logit_scale, or none.",
        ),
        (
            CLASSES | {"logit_scale": np.array(0.0)},
            "f.npz: logit_scale is 0; it must be a factor on cosines, above 0, such as 100.",
        ),
        (CLASSES | {"class_embedding": np.eye(2)}, "f.npz: class_embedding is [2, 2]; it must be [2, 4]."),
        (
            CLASSES | {"class_embedding": np.zeros((2, 4))},
            "f.npz: class_embedding of Run is zero; embed the class again.",
        ),
        (CLASSES | {"classes": np.array(["Hop", "Hop"])}, "f.npz: classes contains a class twice; remove one."),
        (
            CLASSES | {"classes": np.array([], dtype=str), "class_embedding": np.zeros((0, 4))},
            "f.npz: classes is empty; add the classes, or remove classes, class_embedding, logit_scale.",
        ),
    ],
)
def test_a_file_with_a_problem_is_refused_with_one_sentence(changes, wanted):
    assert sentence_of(lambda: read(**changes)) == wanted


def test_a_pickled_array_is_not_loaded():
    np.savez("f.npz", **arrays_of(name=np.array([{}], dtype=object)))
    sentence = sentence_of(read_own_features, "f.npz")
    assert sentence.startswith("f.npz cannot be read (Object arrays cannot be loaded")
    assert sentence.endswith("; save it with numpy.savez, text as numpy.array(..., dtype=str).")


@pytest.mark.parametrize("name", ["f.npz", "f.parquet", "f/a.npy"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_a_damaged_file_is_named(name, content):
    Path("f").mkdir()
    Path("f/name.txt").write_text("vit")
    Path(name).write_bytes(content)
    sentence = sentence_of(read_own_features, "f" if name.endswith(".npy") else name)
    assert sentence.startswith(f"{name} cannot be read (")
    assert "\n" not in sentence


def test_a_npy_file_renamed_to_npz_is_named():
    np.save("f.npy", np.ones(3))
    Path("f.npy").rename("f.npz")
    assert sentence_of(read_own_features, "f.npz").startswith("f.npz cannot be read (it is not a .npz file)")


def test_an_array_larger_than_the_memory_is_named():
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000), }"
    with zipfile.ZipFile("f.npz", "w") as archive:
        archive.writestr("embedding.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    assert sentence_of(read_own_features, "f.npz").startswith("f.npz cannot be read (Unable to allocate")


def test_a_name_that_is_not_utf_8_is_refused():
    write_folder(arrays_of(), PATHS)
    Path("f/name.txt").write_bytes(b"\xff")
    assert sentence_of(read_own_features, "f").startswith("f/name.txt cannot be read ('utf-8' codec")
    write_parquet(arrays_of(), [("name", b"\xff")])
    assert sentence_of(read_own_features, "f.parquet").startswith("f.parquet cannot be read ('utf-8' codec")


def test_parquet_with_frames_of_no_index_is_refused():
    table = pa.table(
        {"id": list(PATHS), "embedding": [[1.0, 2.0]] * 3, "frame": pa.array([[]] * 3, pa.list_(pa.int64()))}
    )
    pq.write_table(table.replace_schema_metadata({"name": "vit 1"}), "f.parquet")
    assert sentence_of(read_own_features, "f.parquet") == "f.parquet: frame is [3, 0]; it must be [3, 1]."


@pytest.mark.parametrize("path", ["f.npz", "f.pt", "f"])
def test_a_path_that_is_no_file_of_embeddings_is_refused(path):
    assert sentence_of(read_own_features, path).startswith(f"params.yaml: encoder.features is {path}")


def test_a_folder_without_vectors_or_name_is_refused():
    Path("f").mkdir()
    assert sentence_of(read_own_features, "f") == "f has no .npy files; give a folder with one per clip."
    np.save("f/a.npy", np.ones(4))
    wanted = "f/name.txt does not exist; write name and version of the model into it."
    assert sentence_of(read_own_features, "f") == wanted
    Path("f/name.txt").write_text("vit")
    np.save("f/b.npy", np.ones(5))
    assert sentence_of(read_own_features, "f") == (
        "f/b.npy is float64 [5], but f/a.npy is float64 [4]; embed all clips with the same model and the same number "
        "of frames."
    )


def test_parquet_rows_of_different_length_or_without_a_name_are_refused():
    write_parquet(arrays_of(), metadata=())
    assert (
        sentence_of(read_own_features, "f.parquet") == "f.parquet has no name; docs/encoders.md describes the format."
    )
    pq.write_table(pa.table({"id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}), "f.parquet")
    sentence = sentence_of(read_own_features, "f.parquet")
    assert sentence.startswith("f.parquet cannot be read (the lists of a column differ in length)")


@pytest.mark.parametrize("name", ["f.npz", "f.parquet", "f/a.npy"])
def test_embeddings_are_not_read_from_a_device(name):
    Path("f").mkdir()
    Path("f/name.txt").write_text("vit 1")
    Path(name).symlink_to("/dev/null")
    expected = f"{name} is not a regular file; save its content to a file instead."
    assert sentence_of(read_own_features, "f" if name.endswith(".npy") else name) == expected
