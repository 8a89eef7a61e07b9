"""Leave-one-sequence-out cross-validation of motion networks on UT-Interaction, from motion vectors alone.

Protocol `within` trains on the other nine sequences of the same set (54 clips), `all` on the other nineteen of both
sets (114 clips). The settings are those of configs/folder.yaml. The number of epochs is fixed, and nothing is chosen on
the left-out sequence. The fields are read from a motion store, which is created if it does not exist. For
motion_histogram, each clip's augmented views are computed once for all folds and seeds; for efficientnet_b0, in every
epoch.
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
from mocliplite.motion_net import arithmetic, augmentation, embedding, loader, networks, sampling, training
from mocliplite.motion_net.optimiser import build_optimiser
from mocliplite.motion_net.training_state import TrainingState
from mocliplite.runtime.progress import progress
from mocliplite.store import stores

ROOT = Path(__file__).parents[1]
SETS = {1: range(1, 11), 2: range(11, 21)}
VIEWS = ("plain", "flip", "shift")
POSITIONS = 256  # read of each clip: more than the frames with vectors of any clip


@dataclass(frozen=True)
class Data:
    """All clips with class and sequence; for motion_histogram also their histograms."""

    clips: loader.MotionClips
    classes: list[str]
    labels: Tensor
    sequences: np.ndarray
    augmented: Tensor | None  # float16 [N, --views, ...], for training
    plain: Tensor | None  # float16 [N, VIEWS, ...], for testing


@dataclass(frozen=True)
class Fold:
    """One training: protocol, set, left-out sequence and seed."""

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
        f"{protocol} set {part}": _evaluate(
            [fold for fold in folds if (fold.protocol, fold.part) == (protocol, part)], data, logits
        )
        for protocol, part in product(given.protocols, given.sets)
    }
    net = networks.build_network(settings, len(data.classes))
    example = next(augmentation.view_inputs(torch.zeros(1, settings.frames, 3, settings.rows, settings.cols), settings))
    summary = {
        "arch": settings.arch,
        "epochs": settings.epochs,
        "folds": given.folds,
        "seeds": given.seeds,
        **networks.cost(net, example),
        "reading_seconds": round(read, 1),
        "training_cpu_seconds_each": round(statistics.mean(trained.values()), 2),
        "wall_seconds": round(time.perf_counter() - start, 1),
        "results": results,
    }
    print(json.dumps(summary))


def _run(
    folds: Sequence[Fold], data: Data, settings: params.MotionNet, processes: int
) -> tuple[dict[Fold, np.ndarray], dict[Fold, float]]:
    """Return logits [left-out clips, views, C] and CPU seconds of each training."""
    logits: dict[Fold, np.ndarray] = {}
    seconds: dict[Fold, float] = {}
    # Forked processes share the memory of the histograms.
    pool = multiprocessing.get_context("fork").Pool(processes, _share, (data, settings))
    with pool, progress("folds", len(folds), "fold") as bar:
        for fold, fold_logits, cpu_seconds in pool.imap(_train, folds):
            logits[fold], seconds[fold] = fold_logits, cpu_seconds
            bar.update()
            if all(replace(fold, left_out=other.left_out) in logits for other in folds if other.part == fold.part):
                done = [other for other in logits if replace(other, left_out=0) == replace(fold, left_out=0)]
                correct = [value for other in done for value in _correct(other, data, logits)]
                tqdm.write(f"{fold.protocol}, set {fold.part}, seed {fold.seed}: {np.mean(correct):.3f}")
    return logits, seconds


def _correct(fold: Fold, data: Data, logits: dict[Fold, np.ndarray]) -> list[bool]:
    """Whether the mean over views predicts the class of each left-out clip."""
    labels = data.labels[np.flatnonzero(data.sequences == fold.left_out)].numpy()
    return list(logits[fold].mean(axis=1).argmax(axis=1) == labels)


_SHARED: dict[str, tuple[Data, params.MotionNet]] = {}


def _share(data: Data, settings: params.MotionNet) -> None:
    torch.set_num_threads(1)
    # With two threads in each process, a step takes many times as long where processes share the cores.
    arithmetic.THREADS = 1
    _SHARED["all"] = data, settings


def _train(fold: Fold) -> tuple[Fold, np.ndarray, float]:
    data, settings = _SHARED["all"]
    start = time.process_time()
    settings = replace(settings, seed=fold.seed * 100 + fold.left_out)
    left_out = data.sequences == fold.left_out
    allowed = np.isin(data.sequences, SETS[fold.part]) if fold.protocol == "within" else np.full(len(left_out), True)
    train, test = np.flatnonzero(allowed & ~left_out), np.flatnonzero(left_out)
    torch.manual_seed(settings.seed)
    net = networks.build_network(settings, len(data.classes))
    if isinstance(net, networks.MotionHistogram):
        _train_histogram(net, data, train, settings)
        logits = _test_histogram(net, data, test)
    else:
        _train_efficientnet(net, data, train, settings)
        logits = _test_efficientnet(net, data, test, settings)
    return fold, logits, time.process_time() - start


def _train_histogram(net: networks.MotionHistogram, data: Data, train: np.ndarray, settings: params.MotionNet) -> None:
    """Train as fit_motion does, but on precomputed views, and for all epochs."""
    generator = np.random.default_rng(settings.seed)
    optimiser = build_optimiser(net, settings)
    steps = max(1, len(train) // settings.batch)
    net.train()
    for epoch in range(settings.epochs):
        for step, rows in enumerate(np.array_split(generator.permutation(train), steps)):
            histograms = data.augmented[rows, generator.integers(data.augmented.shape[1], size=len(rows))].float()
            fraction_done = (epoch * steps + step) / (settings.epochs * steps)
            training.train_step(
                net,
                net.embed_histogram,
                optimiser,
                (histograms, data.labels[rows]),
                settings,
                fraction_done,
            )


@torch.inference_mode()
def _test_histogram(net: networks.MotionHistogram, data: Data, test: np.ndarray) -> np.ndarray:
    net.eval()
    histograms = data.plain[test].float()
    return net.classify(net.embed_histogram(histograms.flatten(0, 1))).unflatten(0, histograms.shape[:2]).numpy()


def _train_efficientnet(
    net: networks.EfficientNetB0, data: Data, train: np.ndarray, settings: params.MotionNet
) -> None:
    training_data = training.TrainingData(data.clips, data.labels, train.tolist(), [], len(data.classes))
    state = TrainingState(net, build_optimiser(net, settings), {})
    for epoch in range(settings.epochs):
        batches = loader.load_batches(data.clips, training.train_batches(training_data, settings, epoch), 0)
        training.train_epoch(training_data, settings, state, batches)
        state.curve.append({})


def _test_efficientnet(
    net: networks.EfficientNetB0, data: Data, test: np.ndarray, settings: params.MotionNet
) -> np.ndarray:
    clips = loader.MotionClips(data.clips.store, [data.clips.ids[row] for row in test], settings)
    return embedding.embed_clips(net, clips, replace(settings, batch=2), ["plain"], 0)[1]


def _evaluate(folds: Sequence[Fold], data: Data, logits: dict[Fold, np.ndarray]) -> dict[str, object]:
    """Print accuracy by seed and sequence, and the confusion matrix; return mean, std over seeds, and plain.

    All of them use the mean over views, except `plain`, which is the accuracy of the plain view alone.
    """
    classes = len(data.classes)
    confusion = np.zeros((classes, classes), dtype=int)
    by_seed: dict[int, list[bool]] = {}
    plain: list[bool] = []
    by_sequence: dict[int, list[bool]] = {}
    for fold in folds:
        labels = data.labels[np.flatnonzero(data.sequences == fold.left_out)].numpy()
        predicted = logits[fold].mean(axis=1).argmax(axis=1)
        np.add.at(confusion, (labels, predicted), 1)
        by_seed.setdefault(fold.seed, []).extend(predicted == labels)
        by_sequence.setdefault(fold.left_out, []).extend(predicted == labels)
        plain.extend(logits[fold][:, 0].argmax(axis=1) == labels)
    seeds = [float(np.mean(values)) for values in by_seed.values()]
    accuracy = {"mean": np.mean(seeds), "std": np.std(seeds), "plain": np.mean(plain)}
    print(f"\n{folds[0].protocol}, set {folds[0].part}:", *(f"{key} {value:.3f}" for key, value in accuracy.items()))
    print("seeds      ", *(f"{value:.3f}" for value in seeds))
    print("sequences  ", *(f"{key}: {np.mean(values):.2f}" for key, values in by_sequence.items()))
    for label, row in zip(data.classes, confusion, strict=True):
        print(f"{label:10}", *(f"{count:5}" for count in row))
    return {key: round(float(value), 4) for key, value in accuracy.items()}


def _load(folder: Path, settings: params.MotionNet, views: int) -> Data:
    with (folder.parent / "clips.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    motion = stores.open_store(folder)
    clips = loader.MotionClips(motion, motion.ids, settings)
    classes = sorted({row["label"] for row in rows.values()})
    labels = torch.tensor([classes.index(rows[key]["label"]) for key in motion.ids])
    sequences = np.array([int(rows[key]["group"]) for key in motion.ids])
    if settings.arch != "motion_histogram":
        return Data(clips, classes, labels, sequences, None, None)
    augmented, plain = _histograms(clips, settings, len(classes), views)
    return Data(clips, classes, labels, sequences, augmented, plain)


def _histograms(
    clips: loader.MotionClips, settings: params.MotionNet, classes: int, views: int
) -> tuple[Tensor, Tensor]:
    """Return the histograms of `views` augmented views of each clip, and of its VIEWS: float16 [N, views, ...]."""
    net, generator = networks.MotionHistogram(settings, classes), np.random.default_rng(0)
    torch_generator = torch.Generator().manual_seed(0)
    augmented, plain = [], []
    with progress("views", len(clips), "clip") as bar:
        for row in range(len(clips)):
            # The clip is read once for all views: so many even positions include every frame.
            all_fields, _ = clips[loader.ClipSample(row, sampling.even_positions(POSITIONS))]
            positions = np.stack([sampling.random_positions(settings, generator) for _ in range(views)])
            fields = all_fields[torch.from_numpy((positions * POSITIONS).astype(np.int64))]
            augmented.append(net.histogram(augmentation.augment(fields, settings, torch_generator)).half())
            inputs = []
            for view in VIEWS:
                fields, _ = clips[loader.ClipSample(row, sampling.view_positions(settings, view))]
                inputs.append(next(augmentation.view_inputs(fields[None], settings, view)))
            plain.append(net.histogram(torch.cat(inputs)).half())
            bar.update()
    return torch.stack(augmented), torch.stack(plain)


def _extract(folder: Path, root: Path) -> None:
    """Create the motion store with the stages index and motion, in a folder of its own."""
    if (folder / "0000.h5").is_file():
        return
    if not root.is_dir():
        sys.exit(
            f"{root} does not exist; download UT-Interaction's segmented sets, one folder per class, or set --root."
        )
    project = folder.parent.parent
    project.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "configs/folder.yaml").read_text(encoding="utf-8")
    for key in ("root", "files"):
        text = text.replace(f"{key}: my_clips", f"{key}: {root.resolve()}", 1)
    text = text.replace("group: null", r"group: '_(\d+)_\d\.avi$'", 1)
    (project / "params.yaml").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for stage in ("index", "motion"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=project, env=environment, check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ut_interaction", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared/data/ut_interaction", help="the clips")
    parser.add_argument("--store", type=Path, default=ROOT / ".ut_interaction/features/motion", help="motion store")
    parser.add_argument("--arch", choices=("motion_histogram", "efficientnet_b0"), default="motion_histogram")
    parser.add_argument("--protocols", nargs="+", choices=("within", "all"), default=["within", "all"])
    parser.add_argument("--sets", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=10, help="number of left-out sequences per set, the first ones")
    parser.add_argument("--views", type=int, default=48, help="augmented views per clip")
    parser.add_argument("--epochs", type=int, help="epochs instead of those in the settings")
    parser.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
