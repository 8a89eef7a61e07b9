"""The stage pairs on small stores: what it joins, what it refuses, what it lists."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import clip_of, put_params, sentence_of
from toy import MADE_OF

from mocliplite.data.clips import read_clips, write_clips
from mocliplite.data.splits import write_splits
from mocliplite.store import shards, stores, table_file
from stages import pairs

pytestmark = pytest.mark.usefixtures("folder")

PARTS = {"g1": "train", "g2": "train", "g3": "val", "g4": "test"}


def put_stores(lists="configs/none", moved=(), copied=()):
    """Two classes of four groups, two keyframes and two motion views a clip. moved: id -> another split."""
    put_params(lists=lists)
    clips = [
        clip_of(f"{label}/{group}.avi", f"{label if lists == 'configs/none' else ''}{group}", index)
        for index, label in enumerate(["Hop", "Run"])
        for group in PARTS
    ]
    write_clips("features/clips.csv", clips)
    parts = {clip.id: PARTS[clip.id[-2:]] for clip in clips} | dict(moved)
    write_splits("features/splits.csv", parts)
    rng = np.random.default_rng(0)
    values = {clip.id: (rng.normal(size=(2, 6)), rng.normal(size=(2, 5)), rng.normal(size=2)) for clip in clips}
    values |= {clip_id: values[other] for clip_id, other in dict(copied).items()}

    def arrays_of(kind, clip_id):
        keyframe, motion, logits = (value.astype(np.float32) for value in values[clip_id])
        if kind == "keyframes":
            return {"embedding": keyframe}
        return {"embedding": motion, "logits": logits, "frames": np.array(40)}

    for kind in ("keyframes", "motion_embeddings"):
        for number, ids in enumerate(stores.by_shard(values, kind)):
            place = stores.shard_path(f"features/{kind}", number)
            wanted = dict.fromkeys(ids, "0")

            def compute(new, kind=kind):
                return {clip_id: shards.Record(arrays_of(kind, clip_id)) for clip_id in new}

            shards.update_shard(place, kind, MADE_OF[kind], wanted, compute)
        stores.write_sidecar_files(f"features/{kind}", kind)
    prompts = {"classes": np.array(["Hop", "Run"]), "embedding": np.eye(2, 6, dtype=np.float32)}
    prompts["logit_scale"] = np.array(7.5, dtype=np.float32)
    table_file.write_table("features/prompts.h5", "prompts", prompts, MADE_OF["prompts"])
    return values


def joined():
    pairs.main()
    return table_file.read_table("features/pairs.h5", "pairs").arrays


def test_frames_are_views_behind_their_mean_and_rows_are_in_order_of_id():
    values = put_stores()
    arrays = joined()
    assert arrays["ids"].tolist() == sorted(values)
    keyframe, motion, _ = values["Run__g3"]
    row = arrays["ids"].tolist().index("Run__g3")
    assert arrays["keyframe"].shape == (8, 3, 6)
    assert arrays["keyframe"][row] == pytest.approx(np.stack([keyframe.mean(axis=0), *keyframe]), abs=1e-6)
    assert arrays["motion"][row] == pytest.approx(motion, abs=1e-6)
    assert float(arrays["logit_scale"]) == 7.5
    assert json.loads(Path("metrics/data.json").read_text())["near_duplicates"] == 0


def test_groups_of_official_lists_are_their_classs_own():
    put_stores(lists="lists")
    assert joined()["group"].tolist() == [f"{label}/{group}" for label in ("Hop", "Run") for group in PARTS]


def test_a_group_leak_planted_in_the_splits_is_refused():
    put_stores(lists="lists", moved={"Run__g1": "test"})
    joined()  # g1 of Run has nothing to do with g1 of Hop
    put_stores(moved={})
    clips = read_clips("features/clips.csv")
    leaky = [clip if clip.id != "Run__g4" else clip_of(clip.path, "Rung1", 1) for clip in clips]
    write_clips("features/clips.csv", leaky)
    wanted = "group Rung1 straddles: Run__g1 is for train and Run__g4 for test; run `dvc repro split`."
    assert sentence_of(pairs.main) == wanted


def test_a_copy_across_the_split_is_listed_with_its_twin(capsys):
    put_stores(copied={"Hop__g4": "Hop__g1"})
    arrays = joined()
    listed = Path("features/near_duplicates.csv").read_text().splitlines()
    assert listed == ["id,split,train_clip,likeness", "Hop__g4,test,Hop__g1,1.0000"]
    assert arrays["similarity"][arrays["ids"] == "Hop__g4"] == pytest.approx(1, abs=1e-5)
    assert "warning: 1 clips" in capsys.readouterr().out
