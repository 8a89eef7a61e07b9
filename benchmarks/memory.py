"""Effect of the motion network's overfitting to its train clips on the fusion, and remedies against it.

Run `python -m benchmarks.memory --folds 1 2 3 --net trained memorised` in the project's folder after `dvc repro`. For
each fold of the data set, it trains the motion network, three networks that each leave out a third of the train groups
(cross-fitting), and one network for a quarter of the epochs. Then it fits heads on their embeddings with each of
several methods; the heads start at random, without label smoothing. Compare the methods by the validation columns; the
test columns are a check.

`memorised` is a network that has memorised its train clips: it is trained without dropout, label smoothing, weight
decay and augmentation, and keeps the best epoch on the train clips. Embeddings are stored in the folder --cache, so an
interrupted run continues where it stopped.
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
from mocliplite.fusion.head_training import fit_heads
from mocliplite.motion_net import loader, training
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.store import stores, table_file

PARTS = 3  # networks of cross-fitting
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
        head = replace(settings.head, start="random", label_smoothing=0.0)
        rows = {name: _evaluate(folds, method, head) for name, method in METHODS.items()}
        print(f"{'':36}" + "  ".join(f"{key.replace('_', ' '):>8}" for key in _COLUMNS))
        for name, row in rows.items():
            print(f"{name:36}" + "  ".join(f"{row[key]:8.3f}" for key in _COLUMNS))
        print(json.dumps({"net": kind, "folds": given.folds, "methods": rows}))


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
    """Arrays of one fold as in pairs.h5, and the features of the cross-fitted networks and of the early one."""
    pairs = table_file.read_table("features/pairs.h5", "pairs").arrays
    splits = split_clips(read_clips("features/clips.csv"), replace(settings.dataset, split=fold))
    ids, labels, groups = pairs["ids"].tolist(), pairs["label"], pairs["group"]
    split = np.array([splits[clip_id] for clip_id in ids])
    motion = stores.open_store("features/motion")
    train, val = (np.flatnonzero(split == part) for part in ("train", "val"))
    workers = settings.compute.workers

    def train_and_embed(rows: np.ndarray, net_settings: params.MotionNet) -> tuple[np.ndarray, np.ndarray]:
        val_rows = rows if kind == "memorised" else val
        if kind == "memorised":
            net_settings = replace(net_settings, **MEMORISED)
        clips = loader.MotionClips(motion, ids, net_settings)
        data = training.TrainingData(
            clips, torch.from_numpy(labels), rows.tolist(), val_rows.tolist(), len(pairs["classes"])
        )
        with tempfile.TemporaryDirectory() as folder:
            resume = Path(folder, "resume")
            net, _, _ = training.fit_motion(data, net_settings, torch.device("cpu"), workers, resume, "")
        embedding, logits = embed_clips(net, clips, net_settings, settings.motion_net.views, workers)
        return embedding, logits.mean(axis=1)

    embedding, logits = train_and_embed(train, settings.motion_net)
    early, _ = train_and_embed(train, replace(settings.motion_net, epochs=max(1, settings.motion_net.epochs // 4)))
    cross_fitted = _cross_fit(lambda rows: train_and_embed(rows, settings.motion_net), train, labels, groups)
    arrays = {name: pairs[name] for name in ("label", "group", "keyframe")} | {"split": split}
    return arrays | cross_fitted | {"motion": embedding, "logits": logits, "early": early}


def _cross_fit(
    train_and_embed: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    train: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
) -> Arrays:
    """Features from PARTS networks that each leave out a part of the train groups.

    `cross` has log probabilities [N, C]. `held_out_embedding` is that of the last network, and `held_out` [N] are the
    train clips that it left out, on which a head can be fitted.
    """
    kfold = StratifiedGroupKFold(PARTS, shuffle=True, random_state=0)
    left_out = np.full(len(labels), -1)
    logits = []
    for part, (train_part, held_out) in enumerate(kfold.split(train, labels[train], groups[train])):
        last_embedding, part_logits = train_and_embed(train[train_part])
        logits.append(part_logits.astype(np.float32))
        left_out[train[held_out]] = part
    # A train clip has the log probabilities of the network that left it out, any other clip the mean of all networks.
    cross = np.log(softmax(np.stack(logits))).mean(axis=0)
    for part in range(PARTS):
        cross[left_out == part] = np.log(softmax(logits[part][left_out == part]))
    return {"cross": cross, "held_out_embedding": last_embedding, "held_out": left_out == PARTS - 1}


def _show_memory(folds: list[Arrays]) -> None:
    for part in ("train", "val", "test"):
        selected = [(fold["logits"][fold["split"] == part], fold["label"][fold["split"] == part]) for fold in folds]
        top1 = np.mean([(logits.argmax(axis=1) == labels).mean() for logits, labels in selected])
        confidence = np.mean([softmax(logits).max(axis=1).mean() for logits, _ in selected])
        print(f"  motion network alone on {part:5}: top-1 {top1:.3f}, mean confidence {confidence:.3f}")


# Streams of a fold, float32 [N, K, D] each, by method


def _plain(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["motion"][:, :1]]


def _views(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["motion"]]


def _early(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["early"]]


def _held_out(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["held_out_embedding"]]


def _cross(fold: Arrays) -> list[np.ndarray]:
    return [fold["keyframe"], fold["cross"][:, None]]


def _noisy(strength: float) -> Callable[[Arrays], list[np.ndarray]]:
    def streams(fold: Arrays) -> list[np.ndarray]:
        """Eight noisy copies of the motion as views of the train clips; other clips have no noise."""
        motion = fold["motion"][:, :1]
        std = motion[fold["split"] == "train"].std(axis=0)
        noise = np.random.default_rng(0).normal(size=(len(motion), 8, motion.shape[2])) * std * strength
        noise[fold["split"] != "train"] = 0
        return [fold["keyframe"], (motion + noise).astype(np.float32)]

    return streams


class Method(NamedTuple):
    """How heads are fitted: the streams, the changed settings, and whether only on held-out train clips."""

    streams: Callable[[Arrays], list[np.ndarray]]
    changes: Mapping[str, Any] = MappingProxyType({})
    only_held_out: bool = False


KEYFRAME = Method(lambda fold: [fold["keyframe"]])
PAPER = {"lr": 1.0e-4, "epochs": 100, "batch": 64, "patience": 100}
METHODS = {
    "keyframe alone": KEYFRAME,
    "motion alone": Method(lambda fold: [fold["motion"]]),
    "as they are (the paper's settings)": Method(_plain, PAPER),
    "as they are": Method(_plain),
    "views": Method(_views),
    "views, stream_dropout 0.3": Method(_views, {"stream_dropout": 0.3}),
    "views, stream_dropout 0.6": Method(_views, {"stream_dropout": 0.6}),
    "noise 0.5": Method(_noisy(0.5)),
    "noise 1": Method(_noisy(1.0)),
    "noise 2": Method(_noisy(2.0)),
    "earlier network": Method(_early),
    "cross-fitted logits": Method(_cross),
    "held-out third of the groups": Method(_held_out, only_held_out=True),
}


def _evaluate(folds: list[Arrays], method: Method, settings: params.Head) -> dict[str, float]:
    """Means over folds of validation top-1, validation loss and test top-1, for the head alone and for its blend."""
    rows = [_evaluate_fold(fold, method, settings) for fold in folds]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _evaluate_fold(fold: Arrays, method: Method, settings: params.Head) -> dict[str, float]:
    logits = {"head": _logits(fold, method, settings), "keyframe": _logits(fold, KEYFRAME, settings)}
    logits |= {"motion": fold["logits"], "ridge": _ridge(fold, method)}
    val, test = (fold["split"] == part for part in ("val", "test"))
    labels = fold["label"][val]
    calibrated = [values / fit_temperature(values[..., val, :], labels) for values in logits.values()]
    weights = methods.fit_mixing_weights([values[..., val, :] for values in calibrated], labels)
    logits["blend"] = methods.mix(calibrated, weights)
    row = {}
    for name in ("head", "blend"):
        top1 = within_top(logits[name], fold["label"], 1)
        row |= {f"{name}_val": float(top1[:, val].mean()), f"{name}_test": float(top1[:, test].mean())}
        row[f"{name}_val_loss"] = log_loss(logits[name][:, val], labels)
    return row


def _ridge(fold: Arrays, method: Method) -> np.ndarray:
    """Scores float32 [N, C] of the closed-form probe on the plain views of the same streams."""
    x, labels = np.concatenate([stream[:, 0] for stream in method.streams(fold)], axis=1), fold["label"]
    train, val = (fold["split"] == "train") & (fold["held_out"] | (not method.only_held_out)), fold["split"] == "val"
    tensors, _ = ridge.fit_ridge((x[train], labels[train]), (x[val], labels[val]), int(labels.max()) + 1)
    return ridge.probe_logits(tensors, x)


def _logits(fold: Arrays, method: Method, settings: params.Head) -> np.ndarray:
    """Logits float32 [S, N, C] of all clips."""
    labels = torch.from_numpy(fold["label"])
    train, val = (torch.from_numpy(fold["split"] == part) for part in ("train", "val"))
    train &= torch.from_numpy(fold["held_out"]) | (not method.only_held_out)
    tensors = [torch.from_numpy(stream) for stream in method.streams(fold)]
    train_data, val_data = (([stream[rows] for stream in tensors], labels[rows]) for rows in (train, val))
    heads, _, _ = fit_heads(train_data, val_data, int(labels.max()) + 1, replace(settings, **method.changes), "memory")
    x = (torch.cat([stream[:, 0] for stream in tensors], dim=1) - heads.mean) / heads.std
    with torch.inference_mode():
        return heads(x.expand(settings.seeds, -1, -1)).numpy()


if __name__ == "__main__":
    run(main)
