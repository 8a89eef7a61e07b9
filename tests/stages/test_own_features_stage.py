"""The pipeline on embeddings from a file: the same results as with the model that made them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of, set_params
from small_project import CLIPS_PER_CLASS

from mocliplite import params
from mocliplite.cli import _cost
from mocliplite.csv_files import read_csv
from mocliplite.evaluation.method_table import METHODS
from mocliplite.files import read_json
from mocliplite.fusion import search
from mocliplite.predict.export import export
from mocliplite.predict.recognizer import Recognizer
from mocliplite.report import report
from mocliplite.store import stores, table_file
from mocliplite.store.export import export_store
from stages import evaluate, keyframes, pairs, prompts, train_head, train_probes


def join():
    for stage in (keyframes, prompts, pairs):
        stage.main()
    return table_file.read_table("features/pairs.h5", "pairs").arrays


@pytest.mark.parametrize(("to", "frames"), [("npz", 1), ("parquet", 2)])
def test_an_exported_keyframe_store_gives_the_same_pairs_to_the_byte(small_copy, to, frames):
    set_params(encoder={"frames": frames})
    wanted, classes = join(), table_file.read_table("features/prompts.h5", "prompts").arrays
    path = export_store("features/keyframes", to)
    if to == "npz":
        with np.load(path) as exported:
            more = {name: classes[name] for name in ("classes", "logit_scale")}
            np.savez(path, **exported, **more, class_embedding=classes["embedding"])
    set_params(encoder={"features": str(path)})
    found = join()
    without = set() if to == "npz" else {"prompts", "logit_scale"}
    assert found.keys() == wanted.keys() - without
    for name, array in found.items():
        assert (array.dtype, array.shape) == (wanted[name].dtype, wanted[name].shape)
        assert array.tobytes() == wanted[name].tobytes(), name
    store = stores.open_store("features/keyframes")
    assert store.provenance == {"model": "clip", "revision": None}
    assert store.settings["frames"] == frames
    assert store.verify() == []


@pytest.fixture
def own(small_copy):
    """The project with random vectors of another length as features, without embeddings of the classes."""
    ids = stores.open_store("features/keyframes").ids
    rows = np.random.default_rng(0).normal(size=(len(ids), 5)).astype(np.float32)
    np.savez("own.npz", ids=np.array(ids), embedding=rows, name=np.array("videonet 3"))
    set_params(encoder={"features": "own.npz", "model": "nowhere", "files": "configs/none"})
    join()
    for stage in (train_probes, train_head, evaluate):
        stage.main()


def test_without_embeddings_of_the_classes_all_but_zero_shot_is_evaluated(own, capsys):
    assert set(read_json("metrics/eval.json")["top1"]) == set(METHODS) - {"zero_shot"}
    assert set(read_json("metrics/cost.json")) == {"motion", "head"}
    evaluate.main()
    printed = capsys.readouterr().out
    assert "zero_shot" not in printed
    assert "blend" in printed
    assert len(read_csv("features/test_clips.csv")) == 6
    assert "zero_shot" not in {row["curve"] for row in read_csv("plots/reliability.csv")}
    report.write("report.html")
    page = Path("report.html").read_text()
    assert "keyframe_probe" in page
    assert "zero_shot" not in page


def test_what_embeds_new_clips_or_texts_says_why_it_cannot(own):
    for call in (
        partial(Recognizer.load, "models"),
        partial(export, "exported", False),
        partial(search.by_text, "a ball", stores.open_store("features/keyframes"), 3, params.DEFAULT_COMPUTE),
    ):
        assert sentence_of(call) == (
            "the keyframe embeddings are those of 'videonet 3' from a file (encoder.features), so neither a new clip "
            "nor a text can be embedded; for that, set encoder.features to configs/none and encoder.model to a "
            "checkpoint, and run `dvc repro`."
        )
    *_, last = _cost.lines([], "models")
    assert last == "\nno prediction is timed: keyframe embeddings come from encoder.features"


def test_clips_are_found_by_similarity(own):
    opened = [stores.open_store(f"features/{name}") for name in ("keyframes", "motion_embeddings")]
    hits = search.by_similarity("Rolling__0", *opened, 3)
    assert len(hits) == 3


def test_a_clip_that_is_missing_stops_the_stage(own):
    with np.load("own.npz") as given:
        arrays = dict(given)
    np.savez("own.npz", **arrays | {"ids": arrays["ids"][1:], "embedding": arrays["embedding"][1:]})
    assert sentence_of(keyframes.main) == (
        f"own.npz has no embedding of 1 of {3 * CLIPS_PER_CLASS} clips, such as Falling__0; add it, or exclude such "
        "clips by dataset.include."
    )


def test_another_file_writes_the_store_again_and_the_same_writes_nothing(own):
    path = Path("features/keyframes/0000.h5")
    before = path.stat().st_mtime_ns
    keyframes.main()
    assert path.stat().st_mtime_ns == before
    old = stores.open_store("features/keyframes").fingerprints
    with np.load("own.npz") as given:
        np.savez("own.npz", **{**given, "name": np.array("videonet 4")})
    keyframes.main()
    new = stores.open_store("features/keyframes").fingerprints
    assert not set(old.values()) & set(new.values())
    wanted = "features/prompts.h5 and features/keyframes are of different encoders (features differs); run `dvc repro`."
    assert sentence_of(pairs.main) == wanted
