"""Fitting the fusion head on pairs of UCF101's size: the paper's training, scikit-learn, this project, and ridge.

Run `python -m benchmarks.head`. The paper's training loads one .pt file per clip through a DataLoader, in batches of
64, and runs AdamW at 1e-4 for 100 epochs. Two of its epochs are timed and extrapolated; the accuracy after 100 epochs
comes from the same training without files. All keep their best epoch on validation, where they can.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks import synthetic
from mocliplite import params
from mocliplite.fusion import methods, products, ridge
from mocliplite.fusion.head_training import fit_head
from mocliplite.fusion.pairs import features, select_clips
from mocliplite.fusion.probes import fit_probes

EPOCHS = 100  # of the paper
TIMED_EPOCHS = 2
SETTINGS = params.load("configs/ucf101.yaml").head
Split = tuple[np.ndarray, np.ndarray]  # features [N, D] and labels [N]
Splits = dict[str, Split]


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    arrays, bayes_top1 = synthetic.pairs_of()
    splits = {split: select_clips(arrays, arrays["split"] == split) for split in ("train", "val", "test")}
    data = {split: (features(part, methods.STREAMS["fusion"]), part["label"]) for split, part in splits.items()}
    print(
        f"the Bayes classifier has a test top-1 of {bayes_top1:.3f}; "
        f"{given.threads} threads, load {os.getloadavg()[0]:.1f}"
    )

    top1: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    _time_fast(splits, data, given.turns, top1, seconds)
    top1["the paper's code"], arithmetic = timed(lambda: paper(data), data["test"][1])
    show(
        f"the paper's code, from {TIMED_EPOCHS} epochs",
        top1["the paper's code"],
        statistics.median(seconds["the paper's code"]),
    )
    show("its arithmetic without files", top1["the paper's code"], arithmetic)
    if not given.skip_slow:
        _time_scikit_learn(data, top1, seconds)

    median = {name: statistics.median(values) for name, values in seconds.items()}
    one_seed = median["ours, 1 seed"]
    limit = floating_point_operations(splits["train"]) / peak_rate()
    print(
        f"the matrix products of one seed take {limit:.2f} s at the rate of one large product; "
        f"ours takes {one_seed / limit:.2f} times as long"
    )
    result: dict[str, Any] = {"seconds": median, "top1": top1, "perfect": bayes_top1, "threads": given.threads}
    result |= {
        "times_faster": median["the paper's code"] / one_seed,
        "arithmetic_alone_times_faster": arithmetic / one_seed,
    }
    print(json.dumps(result | {"times_the_limit": one_seed / limit}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--turns", type=int, default=3, help="repetitions of ours, ridge and the paper's epochs (3)")
    parser.add_argument("--skip-slow", action="store_true", help="leave out scikit-learn's MLP and regression")
    return parser.parse_args()


def _time_fast(
    splits: dict[str, dict[str, np.ndarray]],
    data: Splits,
    repetitions: int,
    top1: dict[str, float],
    seconds: dict[str, list[float]],
) -> None:
    """Time ours, ridge and the epochs of the paper alternately, so that load on the machine slows all of them."""
    _, alphas = fit_probes(splits["train"], splits["val"])
    fits: dict[str, Callable[[], np.ndarray]] = {
        "ours, 1 seed": lambda: ours(splits, 1, alphas),
        "ours, 5 seeds": lambda: ours(splits, 5, alphas),
        "ridge, 13 penalties": lambda: ridge_guesses(data),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), *data["train"])
        for _ in range(repetitions):
            for name, fit in fits.items():
                top1[name], spent = timed(fit, data["test"][1])
                seconds.setdefault(name, []).append(spent)
                show(name, top1[name], spent)
            spent = EPOCHS / TIMED_EPOCHS * time_epochs_from_files(files)
            seconds.setdefault("the paper's code", []).append(spent)


def _time_scikit_learn(data: Splits, top1: dict[str, float], seconds: dict[str, list[float]]) -> None:
    mean, std = data["train"][0].mean(axis=0), data["train"][0].std(axis=0)
    standardised = {split: ((x - mean) / std, labels) for split, (x, labels) in data.items()}
    for name, fit in {"LogisticRegression": regression, "MLPClassifier": classifier}.items():
        top1[name], spent = timed(lambda fit=fit: fit(standardised), data["test"][1])
        seconds[name] = [spent]
        show(name, top1[name], spent)


def timed(fit: Callable[[], np.ndarray], labels: np.ndarray) -> tuple[float, float]:
    """Return test top-1 of the guesses, the mean over seeds if there are several, and seconds."""
    start = time.perf_counter()
    guesses = fit()
    return float((guesses == labels).mean()), time.perf_counter() - start


def show(name: str, top1: float, seconds: float) -> None:
    print(f"{name:32} {top1:.4f} {seconds:9.2f} s", flush=True)


def ours(splits: dict[str, dict[str, np.ndarray]], seeds: int, alphas: dict[str, float]) -> np.ndarray:
    """Guesses on test of our heads; alphas: the penalties, which the pipeline has from train_probes."""
    settings, device = replace(SETTINGS, seeds=seeds), torch.device("cpu")
    tensors, _, _ = fit_head("fusion", splits["train"], splits["val"], settings, device, alphas)
    return methods.head_logits(tensors, "fusion", splits["test"]).argmax(axis=-1)


def ridge_guesses(data: Splits) -> np.ndarray:
    tensors, _ = ridge.fit_ridge(data["train"], data["val"], synthetic.CLASSES)
    return ridge.probe_logits(tensors, data["test"][0]).argmax(axis=1)


def regression(data: Splits) -> np.ndarray:
    return LogisticRegression(max_iter=100).fit(*data["train"]).predict(data["test"][0])


def classifier(data: Splits) -> np.ndarray:
    net = MLPClassifier((512,), early_stopping=True, random_state=0)
    return net.fit(*data["train"]).predict(data["test"][0])


# The paper's training


def write_files(folder: Path, x: np.ndarray, labels: np.ndarray) -> list[Path]:
    paths = [folder / f"{row:05d}.pt" for row in range(len(labels))]
    for path, row, label in zip(paths, x, labels.tolist(), strict=True):
        torch.save({"clip": torch.from_numpy(row[:512]), "motion": torch.from_numpy(row[512:]), "label": label}, path)
    return paths


class Files(Dataset[tuple[torch.Tensor, int]]):
    """One file per clip, opened in every epoch."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        sample = torch.load(self.paths[row])
        return torch.cat([sample["clip"], sample["motion"]]), sample["label"]


def paper_net() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1792, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, synthetic.CLASSES))
    return net, torch.optim.AdamW(net.parameters(), lr=1e-4)


def step(net: nn.Sequential, optimizer: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), labels).backward()
    optimizer.step()


def time_epochs_from_files(paths: list[Path]) -> float:
    """Return the seconds of TIMED_EPOCHS epochs."""
    net, optimizer = paper_net()
    loader = DataLoader(Files(paths), batch_size=64, shuffle=True)
    start = time.perf_counter()
    for _ in range(TIMED_EPOCHS):
        for x, labels in loader:
            step(net, optimizer, x, labels)
    return time.perf_counter() - start


def paper(data: Splits) -> np.ndarray:
    """Guesses on test after 100 epochs on data in memory, at the epoch with the best validation top-1."""
    net, optimizer = paper_net()
    x, labels = (torch.from_numpy(values) for values in data["train"])
    val, test = (torch.from_numpy(data[split][0]) for split in ("val", "test"))
    best, guesses = -1.0, np.zeros(0)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            step(net.train(), optimizer, x[rows], labels[rows])
        with torch.inference_mode():
            top1 = (net.eval()(val).argmax(dim=1).numpy() == data["val"][1]).mean()
            if top1 > best:
                best, guesses = top1, net(test).argmax(dim=1).numpy()
    return guesses


# The limit of the hardware


def floating_point_operations(train: dict[str, np.ndarray]) -> float:
    """Operations of the matrix products of one seed: forward, gradients of weights, gradient of the hidden layer."""
    first, second = 1792 * SETTINGS.hidden, SETTINGS.hidden * synthetic.CLASSES
    return 2 * len(train["label"]) * SETTINGS.epochs * (2 * first + 3 * second)


def peak_rate() -> float:
    """Operations per second of one large matrix product, by the library of the heads."""
    a = torch.randn(1, 2048, 2048)
    spent = []
    for _ in range(7):
        start = time.perf_counter()
        products.batched_product(a, a)
        spent.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(spent)


if __name__ == "__main__":
    main()
