"""The stage pairs on small stores: joined arrays, errors, and the list of near duplicates."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import clip_of, put_params, sentence_of
from toy import SETTINGS

from mocliplite.data.clips import read_clips, write_clips
from mocliplite.data.splits import digest_of_fitted, read_splits, write_splits
from mocliplite.fusion.pairs import digest_of_clips
from mocliplite.store import layout, shards, stores, table_file, update
from stages import pairs

pytestmark = pytest.mark.usefixtures("folder", "few_shards")

SPLIT_OF_GROUP = {"g1": "train", "g2": "train", "g3": "val", "g4": "test"}


def write_inputs(shared_groups=True, changed_splits=(), copies=()):
    """Write params.yaml and the inputs: two classes of four groups, two keyframes and two motion views per clip.

    changed_splits: id -> another split; copies: id -> the clip that has the same embeddings.
    """
    put_params(shared_groups=shared_groups)
    clips = [
        clip_of(f"{label}/{group}.avi", f"{label if shared_groups else ''}{group}", index)
        for index, label in enumerate(["Hop", "Run"])
        for group in SPLIT_OF_GROUP
    ]
    write_clips("features/clips.csv", clips)
    splits = {clip.id: SPLIT_OF_GROUP[clip.id[-2:]] for clip in clips} | dict(changed_splits)
    write_splits("features/splits.csv", splits)
    rng = np.random.default_rng(0)
    values = {clip.id: (rng.normal(size=(2, 6)), rng.normal(size=(2, 5)), rng.normal(size=2)) for clip in clips}
    values |= {clip_id: values[other] for clip_id, other in dict(copies).items()}
    for kind in ("keyframes", "motion_embeddings"):
        write_store(kind, values)
    prompts = {"classes": np.array(["Hop", "Run"]), "embedding": np.eye(2, 6, dtype=np.float32)}
    prompts["logit_scale"] = np.array(7.5, dtype=np.float32)
    table_file.write_table("features/prompts.h5", "prompts", prompts, SETTINGS["prompts"])
    return values


def write_store(kind, values):
    """Write a store from the keyframes, motion views and motion logits by clip id."""

    def record_of(clip_id):
        keyframes, motion, logits = (value.astype(np.float32) for value in values[clip_id])
        if kind == "keyframes":
            return shards.Record({"embedding": keyframes})
        return shards.Record({"embedding": motion, "logits": logits, "frames": np.array(40)})

    folder, settings, provenance = f"features/{kind}", SETTINGS[kind], {"cost": {"parameters": 1, "macs": 2}}
    key = settings
    if kind == "motion_embeddings":
        key, splits = settings["motion"], read_splits("features/splits.csv")
        clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
        settings = settings | {"data": digest_of_fitted(clips, splits, fingerprints_of(values, key))}
    with stores.updating(folder, kind, len(values)):
        for path, ids in layout.ids_by_path(folder, kind, values).items():
            update.update_shard(
                path,
                kind,
                settings,
                fingerprints_of(ids, key),
                lambda missing: ((clip_id, record_of(clip_id)) for clip_id in missing),
                provenance=provenance,
            )


def fingerprints_of(ids, key):
    sources = {clip.id: clip.sha256 for clip in read_clips("features/clips.csv")}
    return {clip_id: shards.fingerprint(sources[clip_id], key) for clip_id in ids}


def run_pairs():
    pairs.main()
    return table_file.read_table("features/pairs.h5", "pairs").arrays


def test_view_0_of_the_keyframes_is_their_mean_and_rows_are_in_order_of_id():
    values = write_inputs()
    arrays = run_pairs()
    assert arrays["ids"].tolist() == sorted(values)
    keyframes, motion, logits = values["Run__g3"]
    row = arrays["ids"].tolist().index("Run__g3")
    assert arrays["keyframe"].shape == (8, 3, 6)
    assert arrays["keyframe"][row] == pytest.approx(np.stack([keyframes.mean(axis=0), *keyframes]), abs=1e-6)
    assert arrays["motion"][row] == pytest.approx(motion, abs=1e-6)
    assert arrays["motion_logits"][row] == pytest.approx(logits, abs=1e-6)
    assert (arrays["label"][row], arrays["split"][row]) == (1, "val")
    assert float(arrays["logit_scale"]) == 7.5
    assert json.loads(Path("metrics/data.json").read_text()) == {
        "clips": 8,
        "clip_set": digest_of_clips(sorted(values), [[0]] * 4 + [[1]] * 4, ["Hop", "Run"]),
        "usable": 8,
        "frames": 320,
        "failures": {"keyframes": 0, "motion": 0},
        "splits": {"train": 4, "val": 2, "test": 2},
        "near_duplicates": 0,
    }


def test_groups_that_classes_do_not_share_are_per_class():
    write_inputs(shared_groups=False)
    assert run_pairs()["group"].tolist() == [f"{label}/{group}" for label in ("Hop", "Run") for group in SPLIT_OF_GROUP]


def test_a_group_name_may_be_in_two_splits_where_classes_do_not_share_it():
    write_inputs(shared_groups=False, changed_splits={"Run__g1": "test"})
    assert run_pairs()["split"].tolist()[4] == "test"


def test_a_group_in_two_splits_is_refused():
    write_inputs()
    clips = read_clips("features/clips.csv")
    leaky = [clip if clip.id != "Run__g4" else clip_of(clip.path, "Rung1", 1) for clip in clips]
    write_clips("features/clips.csv", leaky)
    assert sentence_of(pairs.main) == (
        "group Rung1 is in both train (Run__g1) and test (Run__g4); run `dvc repro split`."
    )


@pytest.mark.parametrize("kind", ["keyframes", "motion_embeddings"])
def test_a_store_older_than_the_list_of_clips_is_refused(kind):
    values = write_inputs()
    write_store(kind, {clip_id: value for clip_id, value in values.items() if clip_id != "Run__g2"})
    assert sentence_of(pairs.main) == (
        f"features/{kind} is out of date: clip Run__g2 is missing or was made from another file (1 such clips in all); "
        "run `dvc repro`."
    )


@pytest.mark.parametrize("kind", ["keyframes", "motion_embeddings"])
def test_a_clip_whose_file_was_replaced_after_extraction_is_refused(kind):
    values = write_inputs()
    clips = read_clips("features/clips.csv")
    write_clips("features/clips.csv", [replace(clip, sha256="1") if clip.id == "Run__g2" else clip for clip in clips])
    other = {"keyframes": "motion_embeddings", "motion_embeddings": "keyframes"}[kind]
    write_store(other, values)
    assert sentence_of(pairs.main) == (
        f"features/{kind} is out of date: clip Run__g2 is missing or was made from another file (1 such clips in all); "
        "run `dvc repro`."
    )


def test_embeddings_of_a_motion_network_that_was_trained_on_another_split_are_refused():
    write_inputs()
    splits = read_splits("features/splits.csv")
    swapped = {"Run__g2": splits["Run__g4"], "Run__g4": splits["Run__g2"]}
    write_splits("features/splits.csv", splits | swapped)
    assert sentence_of(pairs.main) == (
        "features/motion_embeddings was not made from this features/splits.csv, but from another version; "
        "run `dvc repro`."
    )


def test_prompts_of_another_clip_checkpoint_are_refused():
    write_inputs()
    prompts = table_file.read_table("features/prompts.h5", "prompts")
    other = SETTINGS["prompts"] | {"weights": "1"}
    table_file.write_table("features/prompts.h5", "prompts", prompts.arrays, other)
    assert sentence_of(pairs.main) == (
        "features/prompts.h5 and features/keyframes are of different encoders (weights differs); run `dvc repro`."
    )


def test_prompts_of_other_classes_are_refused():
    write_inputs()
    prompts = table_file.read_table("features/prompts.h5", "prompts")
    classes = {"classes": np.array(["Hop", "Walk"])}
    table_file.write_table("features/prompts.h5", "prompts", prompts.arrays | classes, SETTINGS["prompts"])
    assert sentence_of(pairs.main) == (
        "features/prompts.h5 is out of date: its classes are not those of features/clips.csv; run `dvc repro`."
    )


def test_a_copy_of_a_train_clip_is_listed_as_a_near_duplicate(capsys):
    write_inputs(copies={"Hop__g4": "Hop__g1"})
    arrays = run_pairs()
    lines = Path("features/near_duplicates.csv").read_text().splitlines()
    assert lines == ["id,split,train_clip,similarity", "Hop__g4,test,Hop__g1,1.0000"]
    assert arrays["similarity"][arrays["ids"] == "Hop__g4"] == pytest.approx(1, abs=1e-5)
    assert (
        "warning: near duplicates of a train clip among the validation and test clips: 1; see"
        in capsys.readouterr().out
    )
