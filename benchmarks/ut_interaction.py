"""Motion networks on UT-Interaction, from motion vectors alone: leave one sequence out, by two protocols.

`within` trains on the other nine sequences of the same set (54 clips), `all` on the other nineteen of both sets (114
clips). Settings are those of configs/folder.yaml; the number of epochs is fixed, nothing is chosen on the clip
left out. The fields are read from a motion store, which is made where it is not there; each clip's random views are
drawn once, for all folds and seeds of arch grid. efficientnet_b0 draws its own in every epoch.
"""

import argparse
import csv
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mocliplite import params
from mocliplite.motion_net import augmentation, embedding, loader, networks, sampling, training
from mocliplite.motion_net.sampling import even_positions
from mocliplite.runtime.progress import progress
from mocliplite.store import stores

ROOT = Path(__file__).parents[1]
SETS = {1: range(1, 11), 2: range(11, 21)}
EVALUATED = ("plain", "flip", "shift")
EVERY = 256  # places that are read of a clip: more than any has frames with vectors


@dataclass(frozen=True)
class Data:
    """All clips: their place in the store, class and sequence; and of arch grid histograms [N, views, ...]."""

    clips: loader.MotionClips
    classes: list[str]
    labels: Tensor
    sequences: np.ndarray
    drawn: Tensor | None
    evaluated: Tensor | None


@dataclass(frozen=True)
class Fold:
    """One training: the sequence of a set that is left out, the protocol, and the seed."""

    protocol: str
    part: int
    left_out: int
    seed: int


def main() -> None:
    given = _parser().parse_args()
    settings = replace(params.load(ROOT / "configs/folder.yaml").motion_net, arch=given.arch)
    if given.arch == "efficientnet_b0":
        paper = params.load(ROOT / "configs/ucf101.yaml").motion_net
        settings = replace(paper, pretrained=None, batch=27)
    settings = replace(settings, epochs=given.epochs or settings.epochs)
    _extract(given.store, given.root)
    torch.set_num_threads(1)
    start = time.perf_counter()
    data = _load(given.store, settings, given.views)
    read = time.perf_counter() - start

    folds = [
        Fold(protocol, part, left_out, seed)
        for protocol, seed, part in product(given.protocols, range(given.seeds), given.sets)
        for left_out in list(SETS[part])[: given.folds]
    ]
    start = time.perf_counter()
    logits, trained = _run(folds, data, settings, given.processes)
    results = {
        f"{protocol} set {part}": _judge(
            [fold for fold in folds if (fold.protocol, fold.part) == (protocol, part)], data, logits
        )
        for protocol, part in product(given.protocols, given.sets)
    }
    net = networks.motion_net(settings, len(data.classes))
    shown = next(augmentation.view_inputs(torch.zeros(1, settings.frames, 3, settings.rows, settings.cols), settings))
    summary = {
        "arch": settings.arch,
        "epochs": settings.epochs,
        "folds": given.folds,
        "seeds": given.seeds,
        **networks.cost(net, shown),
        "reading_seconds": round(read, 1),
        "training_cpu_seconds_each": round(statistics.mean(trained.values()), 2),
        "wall_seconds": round(time.perf_counter() - start, 1),
        "results": results,
    }
    print(json.dumps(summary))


def _run(
    folds: Sequence[Fold], data: Data, settings: params.MotionNet, processes: int
) -> tuple[dict[Fold, np.ndarray], dict[Fold, float]]:
    """Logits [clips left out, views, C] and seconds of CPU of each training."""
    logits: dict[Fold, np.ndarray] = {}
    seconds: dict[Fold, float] = {}
    # Forked, so that the histograms are shared.
    pool = multiprocessing.get_context("fork").Pool(processes, _share, (data, settings))
    with pool, progress("folds", len(folds), "fold") as bar:
        for fold, out, took in pool.imap(_train, folds):
            logits[fold], seconds[fold] = out, took
            bar.update()
            if all(replace(fold, left_out=other.left_out) in logits for other in folds if other.part == fold.part):
                done = [other for other in logits if replace(other, left_out=0) == replace(fold, left_out=0)]
                right = [hit for other in done for hit in _right(other, data, logits)]
                tqdm.write(f"{fold.protocol}, set {fold.part}, seed {fold.seed}: {np.mean(right):.3f}")
    return logits, seconds


def _right(fold: Fold, data: Data, logits: dict[Fold, np.ndarray]) -> list[bool]:
    """Whether the mean over views says the class of each clip left out."""
    labels = data.labels[np.flatnonzero(data.sequences == fold.left_out)].numpy()
    return list(logits[fold].mean(axis=1).argmax(axis=1) == labels)


_SHARED: dict[str, tuple[Data, params.MotionNet]] = {}


def _share(data: Data, settings: params.MotionNet) -> None:
    torch.set_num_threads(1)
    _SHARED["all"] = data, settings


def _train(fold: Fold) -> tuple[Fold, np.ndarray, float]:
    data, settings = _SHARED["all"]
    start = time.process_time()
    settings = replace(settings, seed=fold.seed * 100 + fold.left_out)
    left_out = data.sequences == fold.left_out
    allowed = np.isin(data.sequences, SETS[fold.part]) if fold.protocol == "within" else np.full(len(left_out), True)
    train, test = np.flatnonzero(allowed & ~left_out), np.flatnonzero(left_out)
    torch.manual_seed(settings.seed)
    net = networks.motion_net(settings, len(data.classes))
    (_train_grid if settings.arch == "motion_histogram" else _train_paper)(net, data, train, settings)
    out = (_test_grid if settings.arch == "motion_histogram" else _test_paper)(net, data, test, settings)
    return fold, out, time.process_time() - start


def _train_grid(net: networks.MotionHistogram, data: Data, train: np.ndarray, settings: params.MotionNet) -> None:
    """fit_motion's steps, on the views drawn before, and without a choice of epoch: all are done."""
    generator = np.random.default_rng(settings.seed)
    optimiser = training.optimiser_of(net, settings)
    steps = max(1, len(train) // settings.batch)
    net.train()
    for epoch in range(settings.epochs):
        for step, rows in enumerate(np.array_split(generator.permutation(train), steps)):
            chosen = data.drawn[rows, generator.integers(data.drawn.shape[1], size=len(rows))].float()
            done = (epoch * steps + step) / (settings.epochs * steps)
            training.train_step(
                lambda seen: net.classify(net.dropout(net.embed_histogram(seen))),
                optimiser,
                (chosen, data.labels[rows]),
                settings,
                done,
            )


@torch.inference_mode()
def _test_grid(net: networks.MotionHistogram, data: Data, test: np.ndarray, settings: params.MotionNet) -> np.ndarray:
    net.eval()
    seen = data.evaluated[test].float()
    return net.classify(net.embed_histogram(seen.flatten(0, 1))).unflatten(0, seen.shape[:2]).numpy()


def _train_paper(net: networks.EfficientNetB0, data: Data, train: np.ndarray, settings: params.MotionNet) -> None:
    task = training.Task(data.clips, data.labels, train.tolist(), [], len(data.classes))
    state = training.State(net, training.optimiser_of(net, settings), {})
    for epoch in range(settings.epochs):
        stream = loader.batches(data.clips, training.epoch_batches(task, settings, epoch), 0)
        training.train_epoch(task, settings, state, stream)
        state.curve.append({})


def _test_paper(net: networks.EfficientNetB0, data: Data, test: np.ndarray, settings: params.MotionNet) -> np.ndarray:
    clips = loader.MotionClips(data.clips.store, [data.clips.ids[row] for row in test], settings)
    return embedding.embed_clips(net, clips, replace(settings, batch=2), "plain", 0)[1][:, None]


def _judge(folds: Sequence[Fold], data: Data, logits: dict[Fold, np.ndarray]) -> dict[str, object]:
    """Print accuracy by seed and sequence and the confusion; the mean over views decides, `plain` is that view's alone.

    std is over seeds.
    """
    classes = len(data.classes)
    confusion = np.zeros((classes, classes), dtype=int)
    right: dict[int, list[bool]] = {}
    plain: list[bool] = []
    by_fold: dict[int, list[bool]] = {}
    for fold in folds:
        labels = data.labels[np.flatnonzero(data.sequences == fold.left_out)].numpy()
        guess = logits[fold].mean(axis=1).argmax(axis=1)
        np.add.at(confusion, (labels, guess), 1)
        right.setdefault(fold.seed, []).extend(guess == labels)
        by_fold.setdefault(fold.left_out, []).extend(guess == labels)
        plain.extend(logits[fold][:, 0].argmax(axis=1) == labels)
    seeds = [float(np.mean(values)) for values in right.values()]
    found = {"mean": np.mean(seeds), "std": np.std(seeds), "plain": np.mean(plain)}
    print(f"\n{folds[0].protocol}, set {folds[0].part}:", *(f"{key} {value:.3f}" for key, value in found.items()))
    print("seeds      ", *(f"{value:.3f}" for value in seeds))
    print("sequences  ", *(f"{key}: {np.mean(values):.2f}" for key, values in by_fold.items()))
    for label, row in zip(data.classes, confusion, strict=True):
        print(f"{label:10}", *(f"{count:5}" for count in row))
    return {key: round(float(value), 4) for key, value in found.items()}


def _load(folder: Path, settings: params.MotionNet, drawn: int) -> Data:
    with (folder.parent / "clips.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    motion = stores.open_store(folder)
    clips = loader.MotionClips(motion, motion.ids, settings)
    classes = sorted({row["label"] for row in rows.values()})
    labels = torch.tensor([classes.index(rows[key]["label"]) for key in motion.ids])
    sequences = np.array([int(rows[key]["group"]) for key in motion.ids])
    if settings.arch != "motion_histogram":
        return Data(clips, classes, labels, sequences, None, None)
    net, generator = networks.MotionHistogram(settings, len(classes)), np.random.default_rng(0)
    augmenter = torch.Generator().manual_seed(0)
    pool, evaluated = [], []
    with progress("views", len(clips), "clip") as bar:
        for row in range(len(clips)):
            # One reading for all views: at so many even places no frame is missed.
            every, _ = clips[loader.ClipSample(row, even_positions(EVERY))]
            places = np.stack([sampling.random_positions(settings, generator) for _ in range(drawn)])
            fields = every[torch.from_numpy((places * EVERY).astype(np.int64))]
            pool.append(net.histogram(augmentation.augment(fields, settings, augmenter)).half())
            fields = [clips[loader.ClipSample(row, sampling.positions(settings, view))][0][None] for view in EVALUATED]
            seen = [
                next(augmentation.view_inputs(field, settings, view))
                for field, view in zip(fields, EVALUATED, strict=True)
            ]
            evaluated.append(net.histogram(torch.cat(seen)).half())
            bar.update()
    return Data(clips, classes, labels, sequences, torch.stack(pool), torch.stack(evaluated))


def _extract(folder: Path, root: Path) -> None:
    """Make the motion store with the project's own stages, in a folder of its own."""
    if (folder / "0000.h5").is_file():
        return
    if not root.is_dir():
        sys.exit(f"{root} is not here; get UT-Interaction's segmented sets, one folder a class, or name their --root.")
    place = folder.parent.parent
    place.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "configs/folder.yaml").read_text(encoding="utf-8")
    text = text.replace("root: my_clips", f"root: {root.resolve()}", 1).replace(
        "group: null", r"group: '_(\d+)_\d\.avi$'", 1
    )
    (place / "params.yaml").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for stage in ("index", "motion"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=place, env=environment, check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ut_interaction", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared/data/ut_interaction", help="the clips")
    parser.add_argument("--store", type=Path, default=ROOT / ".ut_interaction/features/motion", help="motion store")
    parser.add_argument("--arch", choices=("motion_histogram", "efficientnet_b0"), default="grid")
    parser.add_argument("--protocols", nargs="+", choices=("within", "all"), default=["within", "all"])
    parser.add_argument("--sets", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=10, help="sequences left out, the first of each set")
    parser.add_argument("--views", type=int, default=48, help="random views drawn of each clip")
    parser.add_argument("--epochs", type=int, help="instead of the settings'")
    parser.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
