"""The chain of digests: files of another run are refused by whoever reads them, or what was made of them is made again.

Two runs of the whole pipeline on the same clips, with different splits, CLIP checkpoints and seeds.
"""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, sentence_of, set_params
from safetensors.numpy import load_file, save_file

from mocliplite import checkpoint, params
from mocliplite.csv_files import read_csv
from mocliplite.data.clips import read_clips
from mocliplite.encoders import loading
from mocliplite.fusion import search
from mocliplite.predict.export import export
from mocliplite.predict.recognizer import COMPUTE, Recognizer
from mocliplite.report.predictions import predict_test_clips
from mocliplite.store import layout, stores, table_file
from stages import (
    embed_motion,
    evaluate,
    index,
    keyframes,
    motion,
    pairs,
    prompts,
    split,
    train_head,
    train_motion,
    train_probes,
)

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)


def search_by_text():
    return search.by_text("a ball", stores.open_store("features/keyframes"), 3, INLINE)


CONSUMERS = {
    "embed_motion": embed_motion.main,
    "pairs": pairs.main,
    "train_probes": train_probes.main,
    "train_head": train_head.main,
    "evaluate": evaluate.main,
    "report": predict_test_clips,
    "predict": partial(Recognizer.load, "models", INLINE),
    "export": partial(export, "exported", False),
    "search": search_by_text,
}
UNFIT = "{} was not fitted on the features in features/pairs.h5 (keyframes: weights differs); run `dvc repro`."
STALE = "{} was not made from this {}, but from another version; run `dvc repro`."
OTHER_CLIP = (
    "clip is not the checkpoint that the features were made with ({} differs); "
    "run `dvc repro`, or set encoder.model to that checkpoint."
)
TWO_CLIPS = "features/prompts.h5 and features/keyframes are of different encoders (weights differs); run `dvc repro`."
# Every consumer of a file, and its sentence if the file is of the other run. A consumer that is not listed does not
# read the file. Those in RECOMPUTED make what depends on the file again.
REFUSED = {
    "models/motion": {
        "predict": STALE.format("models/head", "models/motion"),
        "export": STALE.format("models/head", "models/motion"),
    },
    "models/probes": {
        "train_head": UNFIT.format("models/probes"),
        "evaluate": UNFIT.format("models/probes"),
        "report": STALE.format("models/head", "models/probes"),
        "predict": STALE.format("models/head", "models/probes"),
        "export": STALE.format("models/head", "models/probes"),
    },
    "models/head": {
        "evaluate": UNFIT.format("models/head"),
        "report": UNFIT.format("models/head"),
        "predict": STALE.format("models/head", "models/probes"),
        "export": STALE.format("models/head", "models/probes"),
    },
    "features/pairs.h5": {
        "train_head": UNFIT.format("models/probes"),
        "evaluate": UNFIT.format("models/probes"),
        "report": UNFIT.format("models/head"),
    },
    "features/motion_embeddings": {
        "pairs": STALE.format("features/motion_embeddings", "features/splits.csv"),
    },
    "features/keyframes": {
        "pairs": TWO_CLIPS,
        "search": OTHER_CLIP.format("weights"),
    },
    "features/prompts.h5": {
        "pairs": TWO_CLIPS,
        "export": STALE.format("models/head", "features/prompts.h5"),
    },
}
RECOMPUTED = {
    "models/motion": {"embed_motion": "features/motion_embeddings"},
    "features/pairs.h5": {"train_probes": "models/probes"},
    "features/motion_embeddings": {"embed_motion": "features/motion_embeddings"},
}


def replace_by(source, name):
    """Replace a file or folder of the working directory by that of another project."""
    if Path(name).is_dir():
        shutil.rmtree(name)
        shutil.copytree(source / name, name)
    else:
        shutil.copyfile(source / name, name)


def contents(name):
    files = [Path(name)] if Path(name).is_file() else sorted(Path(name).iterdir())
    return {file.name: file.read_bytes() for file in files}


CASES = [(name, consumer) for name, sentences in REFUSED.items() for consumer in sentences]


@pytest.mark.parametrize(("name", "consumer"), CASES)
def test_a_file_of_another_run_is_refused(small_copy, other_models, name, consumer):
    replace_by(other_models, name)
    assert sentence_of(CONSUMERS[consumer]) == REFUSED[name][consumer]
    assert not Path("exported").exists()


@pytest.mark.parametrize(
    ("name", "consumer", "product"),
    [(name, *case) for name, consumers in RECOMPUTED.items() for case in consumers.items()],
)
def test_what_depends_on_a_file_of_another_run_is_computed_again(small_copy, other_models, name, consumer, product):
    CONSUMERS[consumer]()
    mine = contents(product)
    replace_by(other_models, name)
    CONSUMERS[consumer]()
    of_models = name == product  # replaced by what the consumer writes, which must be put right
    assert (contents(product) == mine) == of_models


def test_every_consumer_accepts_the_files_of_its_own_run(small_copy):
    written = [Path(path) for path in ("features/pairs.h5", "models/head/config.json", "metrics/eval.json")]
    before = [path.read_bytes() for path in written]
    results = {name: consumer() for name, consumer in CONSUMERS.items()}
    assert [path.read_bytes() for path in written] == before
    assert Path("exported/README.md").is_file()
    assert len(results["search"]) == 3


def test_every_consumer_and_every_file_is_in_the_table():
    assert {consumer for table in (REFUSED, RECOMPUTED) for cases in table.values() for consumer in cases} == {
        *CONSUMERS
    }


def test_embeddings_of_a_motion_network_of_another_run_are_refused_when_they_are_joined(small_copy, other_models):
    replace_by(other_models, "models/motion")
    embed_motion.main()
    assert sentence_of(pairs.main) == STALE.format("features/motion_embeddings", "features/splits.csv")


def test_random_weights_of_the_motion_network_are_refused(small_copy):
    rng, file = np.random.default_rng(0), "models/motion/model.safetensors"
    tensors = {name: rng.normal(size=value.shape).astype(value.dtype) for name, value in load_file(file).items()}
    save_file(tensors, file)
    assert sentence_of(CONSUMERS["predict"]) == STALE.format("models/head", "models/motion")


def test_another_split_trains_the_motion_network_and_computes_its_embeddings_again(small_copy):
    before = stores.open_store("features/motion_embeddings")
    rows = before.read(before.ids)
    set_params(dataset={"seed": 1})
    for stage in (split, train_motion, embed_motion):
        stage.main()
    after = stores.open_store("features/motion_embeddings")
    assert after.settings["model"] == checkpoint.digest("models/motion") != before.settings["model"]
    assert np.abs(after.read(before.ids) - rows).max() > 1e-3
    pairs.main()


def test_prompts_with_other_templates_do_not_fit_the_trained_models(small_copy):
    Path("templates.txt").write_text("a drawing of {}.\n")
    set_params(encoder={"prompts": "templates.txt"})
    prompts.main()
    assert sentence_of(CONSUMERS["export"]) == REFUSED["features/prompts.h5"]["export"]
    pairs.main()
    assert sentence_of(train_head.main) == (
        "models/probes was not fitted on the features in features/pairs.h5 (prompts: templates differs); "
        "run `dvc repro`."
    )


def test_a_replaced_file_of_a_clip_is_noticed_at_each_stage(small_copy):
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    changed = next(row["id"] for row in read_csv("features/splits.csv") if row["split"] == "train")
    other = next(item for item in clips.values() if item.label != clips[changed].label)
    shutil.copyfile(f"clips/{other.path}", f"clips/{clips[changed].path}")
    index.main()
    outdated = f"{{}} is out of date: clip {changed} is missing or was made from another file (1 such clips in all); "
    outdated += "run `dvc repro`."
    assert sentence_of(pairs.main) == outdated.format("features/keyframes")
    keyframes.main()
    assert sentence_of(pairs.main) == outdated.format("features/motion_embeddings")
    motion.main()
    embed_motion.main()
    assert sentence_of(pairs.main) == STALE.format("features/motion_embeddings", "features/splits.csv")
    train_motion.main()
    embed_motion.main()
    pairs.main()


def test_a_shard_where_every_clip_failed_has_the_failures_and_no_rows(small_copy):
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    train = [row["id"] for row in read_csv("features/splits.csv") if row["split"] == "train"]
    failed = next(part for part in layout.by_shard(clips, 16) if set(part) & set(train))
    for clip_id in failed:
        Path("clips", clips[clip_id].path).write_bytes(b"no video")
    set_params(dataset={"max_failed": 1.0})
    for stage in (index, motion, train_motion, embed_motion):
        stage.main()
    store = stores.open_store("features/motion_embeddings")
    assert store.failures.keys() == set(failed)
    assert store.failures == stores.open_store("features/motion").failures
    assert store.ids == sorted(clips.keys() - set(failed))
    assert np.isfinite(store.read(store.ids)).all()


def test_the_same_clip_checkpoint_in_another_folder_computes_nothing(small_copy, monkeypatch):
    before, joined = stores.open_store("features/keyframes"), contents("features/pairs.h5")
    rows = before.read(before.ids)
    shutil.move("clip", "elsewhere")
    set_params(encoder={"model": "elsewhere", "files": "elsewhere"})
    prompts.main()
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_encoder", lambda *_: pytest.fail("CLIP is loaded"))
        keyframes.main()
    after = stores.open_store("features/keyframes")
    assert (before.provenance["model"], after.provenance["model"]) == ("clip", "elsewhere")
    assert (after.settings, after.fingerprints) == (before.settings, before.fingerprints)
    assert after.read(after.ids).tobytes() == rows.tobytes()
    pairs.main()
    assert contents("features/pairs.h5") == joined
    for name in ("predict", "export", "search"):
        CONSUMERS[name]()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_clip_checkpoint_with_another_file_is_refused_and_embeds_again(small_copy, name):
    before = stores.open_store("features/keyframes").fingerprints
    file = Path("clip", name)
    file.write_text(file.read_text().replace("quick_gelu", "gelu") + "\n")
    for consumer in ("predict", "export", "search"):
        assert sentence_of(CONSUMERS[consumer]) == OTHER_CLIP.format(name.partition(".")[0])
    keyframes.main()
    after = stores.open_store("features/keyframes").fingerprints
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert sentence_of(pairs.main) == TWO_CLIPS.replace("weights", name.partition(".")[0])


def test_no_config_or_key_names_a_device_a_path_or_a_cost(small_project):
    named = {
        **{f"models/{name}": checkpoint.load(f"models/{name}")[1] for name in ("motion", "probes", "head")},
        **{f"features/{name}": stores.open_store(f"features/{name}").settings for name in ("motion", "keyframes")},
        "features/motion_embeddings": stores.open_store("features/motion_embeddings").settings,
        "features/pairs.h5": table_file.read_table("features/pairs.h5").settings,
        "features/prompts.h5": table_file.read_table("features/prompts.h5").settings,
    }
    assert len(named) == 8
    for name, settings in named.items():
        text = json.dumps(settings)
        assert not any(word in text for word in ("device", "cuda", '"cpu"', "workers", str(CHECKOUT))), name
        assert not any(key in settings for key in ("path", "revision")), name


@pytest.mark.parametrize("weights", [None, [0.5, 0.5]], ids=["fitted", "equal"])
def test_predict_answers_every_test_clip_as_it_was_evaluated(small_copy, weights):
    assert len(params.load().motion_net.views) > 1
    if weights:  # those that were fitted may leave out the motion network, which alone depends on the views
        config = json.loads(Path("models/head/config.json").read_text())
        config["calibration"]["weights"]["score_fusion"] = weights
        Path("models/head/config.json").write_text(json.dumps(config))
        evaluate.main()
    evaluated = read_csv("features/test_clips.csv")
    paths = {clip.id: f"clips/{clip.path}" for clip in read_clips("features/clips.csv")}
    answers = list(Recognizer.load("models", INLINE).predict([paths[row["id"]] for row in evaluated]))
    assert len(answers) == len(evaluated) == 6
    for row, answer in zip(evaluated, answers, strict=True):
        label, probability = answer.classes[0]
        assert label == row["guess"]
        assert probability == pytest.approx(float(row["probability"]), abs=1e-5)
        for stream in ("keyframe", "motion"):
            assert answer.shares[stream] == pytest.approx(float(row[f"{stream}_share"]), abs=1e-5)
