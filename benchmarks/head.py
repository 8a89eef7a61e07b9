"""Fitting the fusion head on pairs of UCF101's size: the paper's code, scikit-learn, ours, and ridge.

`python -m benchmarks.head`. The paper's code loads one .pt file a clip through a DataLoader, in batches of 64, AdamW
at 1e-4, 100 epochs. Two of its epochs are timed and the rest extrapolated; what its 100 epochs reach is found by
running the same arithmetic without the files. All keep their best epoch on validation, where they can.
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
from mocliplite.fusion import methods, ridge
from mocliplite.fusion.heads import fit_heads
from mocliplite.fusion.pairs import features, select_split

EPOCHS = 100  # of the paper
TIMED = 2
OURS = params.load("configs/ucf101.yaml").head
Part = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--turns", type=int, default=3, help="times that ours, ridge and the paper's epoch run (3)")
    parser.add_argument("--skip-slow", action="store_true", help="leave out scikit-learn's MLP and regression")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    arrays, perfect = synthetic.pairs_of()
    rows = {part: select_split(arrays, part) for part in ("train", "val", "test")}
    parts = {part: (features(data, methods.STREAMS["fusion"]), data["label"]) for part, data in rows.items()}
    mean, std = parts["train"][0].mean(axis=0), parts["train"][0].std(axis=0)
    standard = {part: ((x - mean) / std, labels) for part, (x, labels) in parts.items()}
    print(
        f"a perfect head gets {perfect:.3f} of the test clips; {given.threads} threads, load {os.getloadavg()[0]:.1f}"
    )

    top1: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    fast: dict[str, Callable[[], np.ndarray]] = {
        "ours, 1 seed": lambda: ours(rows, 1),
        "ours, 5 seeds": lambda: ours(rows, 5),
        "ridge, 13 penalties": lambda: ridged(parts),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), *parts["train"])
        for _ in range(given.quarter_turns):  # in turns, so that a busy machine slows all
            for name, fit in fast.items():
                top1[name], spent = timed(fit, parts["test"][1])
                seconds.setdefault(name, []).append(spent)
                show(name, top1[name], spent)
            seconds.setdefault("paper", []).append(EPOCHS / TIMED * epochs_from_files(files))
    name = "the paper's code"
    seconds[name] = seconds.pop("paper")
    top1[name], arithmetic = timed(lambda: paper(parts), parts["test"][1])
    show(f"{name}, from {TIMED} epochs", top1[name], statistics.median(seconds[name]))
    show("its arithmetic without files", top1[name], arithmetic)
    slow = {} if given.skip_slow else {"LogisticRegression": regression, "MLPClassifier": classifier}
    for name, fit in slow.items():
        top1[name], spent = timed(lambda fit=fit: fit(standard), parts["test"][1])
        seconds[name] = [spent]
        show(name, top1[name], spent)

    median = {name: statistics.median(values) for name, values in seconds.items()}
    one = median["ours, 1 seed"]
    limit = floating_point(rows["train"]) / peak()
    print(
        f"one seed's products at the speed of one large product take {limit:.2f} s; ours {one / limit:.2f} times that"
    )
    result: dict[str, Any] = {"seconds": median, "top1": top1, "perfect": perfect, "threads": given.threads}
    result |= {"times_faster": median["the paper's code"] / one, "arithmetic_alone_times_faster": arithmetic / one}
    print(json.dumps(result | {"times_the_limit": one / limit}))


def timed(fit: Callable[[], np.ndarray], labels: np.ndarray) -> tuple[float, float]:
    """Test top-1, the mean over seeds where there are some, and seconds."""
    start = time.perf_counter()
    guesses = fit()
    return float((guesses == labels).mean()), time.perf_counter() - start


def show(name: str, top1: float, seconds: float) -> None:
    print(f"{name:32} {top1:.4f} {seconds:9.2f} s", flush=True)


def ours(rows: dict[str, dict[str, np.ndarray]], seeds: int) -> np.ndarray:
    settings = replace(OURS, seeds=seeds)
    given = [
        ([torch.from_numpy(data[name]) for name in methods.STREAMS["fusion"]], torch.from_numpy(data["label"]))
        for data in (rows["train"], rows["val"])
    ]
    heads, _, _ = fit_heads(given[0], given[1], synthetic.CLASSES, settings, "fusion")
    tensors = {f"fusion.{key}": value.numpy() for key, value in heads.state_dict().items()}
    return methods.head_logits(tensors, "fusion", features(rows["test"], methods.STREAMS["fusion"])).argmax(axis=-1)


def ridged(parts: dict[str, Part]) -> np.ndarray:
    tensors, _ = ridge.fit_ridge(parts["train"], parts["val"], synthetic.CLASSES)
    return ridge.probe_logits(tensors, parts["test"][0]).argmax(axis=1)


def regression(parts: dict[str, Part]) -> np.ndarray:
    return LogisticRegression(max_iter=100).fit(*parts["train"]).predict(parts["test"][0])


def classifier(parts: dict[str, Part]) -> np.ndarray:
    net = MLPClassifier((512,), early_stopping=True, random_state=0)
    return net.fit(*parts["train"]).predict(parts["test"][0])


# The paper's way


def write_files(folder: Path, x: np.ndarray, labels: np.ndarray) -> list[Path]:
    paths = [folder / f"{row:05d}.pt" for row in range(len(labels))]
    for path, row, label in zip(paths, x, labels.tolist(), strict=True):
        torch.save({"clip": torch.from_numpy(row[:512]), "motion": torch.from_numpy(row[512:]), "label": label}, path)
    return paths


class Files(Dataset[tuple[torch.Tensor, int]]):
    """One file a clip, opened in every epoch."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        held = torch.load(self.paths[row])
        return torch.cat([held["clip"], held["motion"]]), held["label"]


def paper_net() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1792, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, synthetic.CLASSES))
    return net, torch.optim.AdamW(net.parameters(), lr=1e-4)


def step(net: nn.Sequential, optimiser: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor) -> None:
    optimiser.zero_grad()
    nn.functional.cross_entropy(net(x), labels).backward()
    optimiser.step()


def epochs_from_files(paths: list[Path]) -> float:
    """Seconds of TIMED epochs."""
    net, optimiser = paper_net()
    loader = DataLoader(Files(paths), batch_size=64, shuffle=True)
    start = time.perf_counter()
    for _ in range(TIMED):
        for x, labels in loader:
            step(net, optimiser, x, labels)
    return time.perf_counter() - start


def paper(parts: dict[str, Part]) -> np.ndarray:
    """What 100 epochs reach, the best on validation kept, from memory."""
    net, optimiser = paper_net()
    x, labels = (torch.from_numpy(values) for values in parts["train"])
    val, test = (torch.from_numpy(parts[part][0]) for part in ("val", "test"))
    best, guesses = -1.0, np.zeros(0)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            step(net.train(), optimiser, x[rows], labels[rows])
        with torch.inference_mode():
            top1 = (net.eval()(val).argmax(dim=1).numpy() == parts["val"][1]).mean()
            if top1 > best:
                best, guesses = top1, net(test).argmax(dim=1).numpy()
    return guesses


# The limit


def floating_point(train: dict[str, np.ndarray]) -> float:
    """Operations of the products of one seed: forward and, for the weights, back; the hidden layer's gradient too."""
    first, second = 1792 * OURS.hidden, OURS.hidden * synthetic.CLASSES
    return 2 * len(train["label"]) * OURS.epochs * (2 * first + 3 * second)


def peak() -> float:
    """Operations a second of one large product of matrices."""
    a = torch.randn(2048, 2048)
    spent = []
    for _ in range(7):
        start = time.perf_counter()
        a @ a
        spent.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(spent)


if __name__ == "__main__":
    main()
