"""Several keyframes per clip, pooled by attention, from the stages to the recogniser."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from mocliplite import checkpoint, files
from mocliplite.predict.recognizer import COMPUTE, Recognizer
from stages import evaluate, keyframes, pairs, train_head, train_probes

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
STAGES = (keyframes, pairs, train_probes, train_head, evaluate)


def test_predict_pools_keyframes_as_evaluate_does(small_copy):
    one_keyframe = files.read_json("metrics/cost.json")
    given = yaml.safe_load(Path("params.yaml").read_text())
    given["encoder"]["frames"] = 3
    given["head"] |= {"pooling": "attention", "start": "random", "lr": 0.05, "epochs": 10, "patience": 10}
    Path("params.yaml").write_text(yaml.safe_dump(given))
    for stage in STAGES:
        stage.main()
    query = checkpoint.load("models/head")[0]["fusion.query"]
    assert query.shape == (2, 8)
    assert (np.abs(query).max(axis=1) > 0.01).all()

    with Path("features/test_clips.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    paths = {f"clips/{clip_id.replace('__', '/')}.avi": row for clip_id, row in rows.items()}
    predictions = list(Recognizer.load("models", INLINE).predict(paths))
    for prediction, row in zip(predictions, paths.values(), strict=True):
        assert prediction.classes[0] == (row["guess"], pytest.approx(float(row["probability"]), abs=1e-4))
        assert prediction.shares["keyframe"] == pytest.approx(float(row["keyframe_share"]), abs=1e-4)

    assert files.read_json("metrics/cost.json")["encoder"]["macs"] == 3 * one_keyframe["encoder"]["macs"]
