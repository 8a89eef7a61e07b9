"""What the motion network's memory of its train clips does to the fusion, and what helps against it.

Run it in the project's folder after `dvc repro`: `python -m benchmarks.memory --folds 1 2 3 --net trained memorised`.
For each fold of the data set it fits the motion network anew, and two more kinds of it: three networks that each leave
out a third of the train groups (cross-fitted), and one that stops after a quarter of its epochs. Then it fits heads on
these embeddings in each of several ways. What is best is read off the validation columns; test columns are a check.

`memorised` is one that has learned its train clips by heart: no dropout, smoothing, decay or augmentation, and the
epoch kept that is best on the train clips. What is computed is kept in --cache, so that a run that ended goes on.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from mocliplite import params
from mocliplite.data.clips import read_clips
from mocliplite.data.splits import split_clips
from mocliplite.errors import run
from mocliplite.evaluation.calibration import fit_temperature, log_loss
from mocliplite.evaluation.metrics import softmax, within_top
from mocliplite.fusion import methods, ridge
from mocliplite.fusion.heads import fit_heads
from mocliplite.motion_net import loader, training
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.store import stores, table_file

PARTS = 3  # networks of the cross-fit
MEMORISED: dict[str, Any] = {"dropout": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0, "flip": False}
MEMORISED |= {"zoom": 0.0, "shift": 0.0, "speed_jitter": 0.0, "temporal_crop": 0.0, "views": ("plain",)}
_COLUMNS = ("head_val", "head_val_loss", "head_test", "blend_val", "blend_val_loss", "blend_test")
Arrays = dict[str, np.ndarray]


def main() -> None:
    given = _arguments()
    settings = params.load()
    torch.set_num_threads(settings.compute.threads or torch.get_num_threads())
    for kind in given.net:
        folds = [_cached(given.cache, settings, kind, fold) for fold in given.folds]
        print(f"\n{kind} network, folds {given.folds}")
        _show_memory(folds)
        rows = {name: _judge(folds, way, settings.head) for name, way in WAYS.items()}
        print(f"{'':36}" + "  ".join(f"{key.replace('_', ' '):>8}" for key in _COLUMNS))
        for name, row in rows.items():
            print(f"{name:36}" + "  ".join(f"{row[key]:8.3f}" for key in _COLUMNS))
        print(json.dumps({"net": kind, "folds": given.folds, "ways": rows}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, nargs="+", default=[1], help="values of dataset.split (1)")
    parser.add_argument("--net", nargs="+", choices=["trained", "memorised"], default=["trained", "memorised"])
    parser.add_argument("--cache", type=Path, default=Path("features/memory"), help="folder (features/memory)")
    return parser.parse_args()


# Embeddings


def _cached(cache: Path, settings: params.Params, kind: str, fold: int) -> Arrays:
    path = cache / f"{kind}_{fold}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_fold(settings, kind, fold))
    with np.load(path) as file:
        return dict(file)


def _fold(settings: params.Params, kind: str, fold: int) -> Arrays:
    """Features of one fold as pairs.h5 has them, and the motion logits of the cross-fitted and the early networks."""
    pairs = table_file.read_table("features/pairs.h5", "pairs").arrays
    clips = read_clips("features/clips.csv")
    cut = split_clips(clips, replace(settings.dataset, split=fold))
    ids, labels, groups = pairs["ids"].tolist(), pairs["label"], pairs["group"]
    split = np.array([cut[clip_id] for clip_id in ids])
    motion = stores.open_store("features/motion")
    train, val = (np.flatnonzero(split == part) for part in ("train", "val"))

    def embed(rows: np.ndarray, used: params.MotionNet) -> tuple[np.ndarray, np.ndarray]:
        judged_on = rows if kind == "memorised" else val
        if kind == "memorised":
            used = replace(used, **MEMORISED)
        seen = loader.MotionClips(motion, ids, used)
        task = training.TrainingData(
            seen, torch.from_numpy(labels), rows.tolist(), judged_on.tolist(), len(pairs["classes"])
        )
        with tempfile.TemporaryDirectory() as folder:
            resume = Path(folder, "resume")
            net, _, _ = training.fit_motion(task, used, torch.device("cpu"), settings.compute.workers, resume, "")
        out = [embed_clips(net, seen, used, view, settings.compute.workers) for view in settings.motion_net.views]
        return np.stack([embedding for embedding, _ in out], axis=1), np.mean([logits for _, logits in out], axis=0)

    embedding, logits = embed(train, settings.motion_net)
    early, _ = embed(train, replace(settings.motion_net, epochs=max(1, settings.motion_net.epochs // 4)))
    crossed = np.zeros((PARTS, *logits.shape), dtype=np.float32)
    kfold = StratifiedGroupKFold(PARTS, shuffle=True, random_state=0)
    left_out = np.full(len(ids), -1)
    for part, (kept, held) in enumerate(kfold.split(train, labels[train], groups[train])):
        unseen, crossed[part] = embed(train[kept], settings.motion_net)
        left_out[train[held]] = part
    # A train clip from the one network that has not seen it, any other clip from the mean of all.
    cross = np.log(softmax(crossed)).mean(axis=0)
    for part in range(PARTS):
        cross[left_out == part] = np.log(softmax(crossed[part][left_out == part]))
    kept_arrays = {name: pairs[name] for name in ("label", "group", "keyframe")} | {"split": split, "cross": cross}
    # Of the last of these networks, the third that it has not seen: on those a head can be fitted without its memory.
    kept_arrays |= {"unseen": unseen, "held": left_out == PARTS - 1}
    return kept_arrays | {"motion": embedding, "logits": logits, "early": early}


def _show_memory(folds: list[Arrays]) -> None:
    for part in ("train", "val", "test"):
        chosen = [(d["logits"][d["split"] == part], d["label"][d["split"] == part]) for d in folds]
        top1 = np.mean([(logits.argmax(axis=1) == labels).mean() for logits, labels in chosen])
        sure = np.mean([softmax(logits).max(axis=1).mean() for logits, _ in chosen])
        print(f"  motion network alone on {part:5}: top-1 {top1:.3f}, mean confidence {sure:.3f}")


# Ways of fitting. Each gives the streams of a fold, float32 [N, K, D] each, and settings that differ.


def _plain(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["motion"][:, :1]]


def _views(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["motion"]]


def _early(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["early"]]


def _unseen(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["unseen"]]


def _cross(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["cross"][:, None]]


def _noisy(strength: float) -> Callable[[Arrays], list[np.ndarray]]:
    def streams(fold: Arrays) -> list[np.ndarray]:
        """Eight noisy copies of the motion as views of the train clips; what is judged stays as it is."""
        motion = fold["motion"][:, :1]
        std = motion[fold["split"] == "train"].std(axis=0)
        noise = np.random.default_rng(0).normal(size=(len(motion), 8, motion.shape[2])) * std * strength
        noise[fold["split"] != "train"] = 0
        return [fold["keyframe"], (motion + noise).astype(np.float32)]

    return streams


class Way(NamedTuple):
    """How heads are fitted: on which streams, with which settings changed, and whether on all train clips."""

    streams: Callable[[Arrays], list[np.ndarray]]
    changes: Mapping[str, Any] = MappingProxyType({})
    held_only: bool = False


KEYFRAME = Way(lambda fold: [fold["keyframe"]])
PAPER = {"lr": 1.0e-4, "epochs": 100, "batch": 64, "patience": 100}
WAYS = {
    "keyframe alone": KEYFRAME,
    "motion alone": Way(lambda fold: [fold["motion"]]),
    "as they are (the paper's settings)": Way(_plain, PAPER),
    "as they are": Way(_plain),
    "views": Way(_views),
    "views, drop_stream 0.3": Way(_views, {"stream_dropout": 0.3}),
    "views, drop_stream 0.6": Way(_views, {"stream_dropout": 0.6}),
    "noise 0.5": Way(_noisy(0.5)),
    "noise 1": Way(_noisy(1.0)),
    "noise 2": Way(_noisy(2.0)),
    "earlier network": Way(_early),
    "cross-fitted logits": Way(_cross),
    "held-out third of the groups": Way(_unseen, held_only=True),
}


def _judge(folds: list[Arrays], way: Way, settings: params.Head) -> dict[str, float]:
    """Means over folds: top-1 and loss on validation, top-1 on test, of the head alone and of its blend."""
    rows = [_judge_fold(fold, way, settings) for fold in folds]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _judge_fold(fold: Arrays, way: Way, settings: params.Head) -> dict[str, float]:
    logits = {"head": _logits(fold, way, settings), "keyframe": _logits(fold, KEYFRAME, settings)}
    logits |= {"motion": fold["logits"], "ridge": _ridge(fold, way)}
    val, test = (fold["split"] == part for part in ("val", "test"))
    labels = fold["label"][val]
    calm = [values / fit_temperature(values[..., val, :], labels) for values in logits.values()]
    weights = methods.fit_mixing_weights([values[..., val, :] for values in calm], labels)
    logits["blend"] = methods.mix(calm, weights)
    row = {}
    for name in ("head", "blend"):
        top1 = within_top(logits[name], fold["label"], 1)
        row |= {f"{name}_val": float(top1[:, val].mean()), f"{name}_test": float(top1[:, test].mean())}
        row[f"{name}_val_loss"] = log_loss(logits[name][:, val], labels)
    return row


def _ridge(fold: Arrays, way: Way) -> np.ndarray:
    """Scores float32 [N, C] of the closed-form probe on the same streams, plainly seen."""
    x, labels = np.concatenate([stream[:, 0] for stream in way.streams(fold)], axis=1), fold["label"]
    train, val = (fold["split"] == "train") & (fold["held"] | (not way.held_only)), fold["split"] == "val"
    tensors, _ = ridge.fit_ridge((x[train], labels[train]), (x[val], labels[val]), int(labels.max()) + 1)
    return ridge.probe_logits(tensors, x)


def _logits(fold: Arrays, way: Way, settings: params.Head) -> np.ndarray:
    """Logits float32 [S, N, C] of all clips."""
    streams, changes = way.streams(fold), way.changes
    labels = torch.from_numpy(fold["label"])
    train, val = (torch.from_numpy(fold["split"] == part) for part in ("train", "val"))
    train &= torch.from_numpy(fold["held"]) | (not way.held_only)
    tensors = [torch.from_numpy(stream) for stream in streams]
    given, judge = (([stream[rows] for stream in tensors], labels[rows]) for rows in (train, val))
    heads, _, _ = fit_heads(given, judge, int(labels.max()) + 1, replace(settings, **changes), "memory")
    x = heads.standardise(torch.cat([stream[:, 0] for stream in tensors], dim=1))
    with torch.inference_mode():
        return heads(x.expand(settings.seeds, -1, -1)).numpy()


if __name__ == "__main__":
    run(main)
