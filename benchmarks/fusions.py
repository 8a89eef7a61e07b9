"""Architectures that fuse the two streams, compared with the paper's MLP on the concatenated streams.

Run `python -m benchmarks.fusions FILE...`, where each FILE is the features/pairs.h5 of one fold. All architectures have
the head settings of params.yaml (hidden units, epochs, one-cycle schedule, patience, seeds), and use a random cached
view per clip in each step. Compare them by the validation columns; the test columns are a check.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import synthetic
from mocliplite import params
from mocliplite.errors import run
from mocliplite.fusion import methods
from mocliplite.fusion.head_training import mean_and_std
from mocliplite.fusion.pairs import Arrays, select_clips
from mocliplite.store import table_file

Streams = list[Tensor]  # keyframe [N, D1] and motion [N, D2], standardised, and CLIP's zero-shot logits [N, C]


class Concatenated(nn.Module):
    """The paper's head: one hidden layer on the concatenated streams."""

    def __init__(self, lengths: list[int], classes: int, settings: params.Head) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sum(lengths), settings.hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, classes),
        )

    def forward(self, streams: Streams) -> Tensor:
        """Logits [N, C]."""
        logits: Tensor = self.layers(torch.cat(streams[:2], dim=1))
        return logits


class ZeroShotPrior(Concatenated):
    """The paper's head, added to CLIP's zero-shot logits times a learned factor with initial value 0."""

    def __init__(self, lengths: list[int], classes: int, settings: params.Head) -> None:
        super().__init__(lengths, classes, settings)
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, streams: Streams) -> Tensor:
        """Logits [N, C]."""
        return super().forward(streams) + self.factor * streams[2]


class Gated(nn.Module):
    """A hidden layer per stream; a gate with both streams as input weighs the two layers for each unit."""

    def __init__(self, lengths: list[int], classes: int, settings: params.Head) -> None:
        super().__init__()
        self.streams = nn.ModuleList(nn.Linear(length, settings.hidden) for length in lengths)
        self.gate = nn.Linear(sum(lengths), settings.hidden)
        self.classify = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.hidden, classes))

    def forward(self, streams: Streams) -> Tensor:
        """Logits [N, C]."""
        first, second = (layer(stream).relu() for layer, stream in zip(self.streams, streams, strict=False))
        weight = self.gate(torch.cat(streams[:2], dim=1)).sigmoid()
        logits: Tensor = self.classify(weight * first + (1 - weight) * second)
        return logits


class Bilinear(nn.Module):
    """A hidden layer per stream, and the product of the two layers."""

    def __init__(self, lengths: list[int], classes: int, settings: params.Head) -> None:
        super().__init__()
        self.streams = nn.ModuleList(nn.Linear(length, settings.hidden // 2) for length in lengths)
        self.classify = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.hidden // 2 * 3, classes))

    def forward(self, streams: Streams) -> Tensor:
        """Logits [N, C]."""
        first, second = (layer(stream).relu() for layer, stream in zip(self.streams, streams, strict=False))
        logits: Tensor = self.classify(torch.cat([first, second, first * second], dim=1))
        return logits


ARCHITECTURES = {
    "concatenated": Concatenated,
    "zero-shot prior": ZeroShotPrior,
    "gated": Gated,
    "bilinear": Bilinear,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="features/pairs.h5 of a fold (default: synthetic pairs of UCF101's size)",
    )
    parser.add_argument("--seeds", type=int, help="number of seeds (default: head.seeds)")
    given = parser.parse_args()
    settings = params.load().head
    settings = replace(settings, seeds=given.seeds or settings.seeds)
    folds = [table_file.read_table(path, "pairs").arrays for path in given.files] or [synthetic.pairs_of()[0]]
    rows: dict[str, dict[str, float]] = {}
    for name, kind in ARCHITECTURES.items():
        figures = [_evaluate(kind, fold, settings, seed) for fold in folds for seed in range(settings.seeds)]
        rows[name] = {key: float(np.mean([row[key] for row in figures])) for key in figures[0]}
        print(f"{name:18}", *(f"{key} {value:.3f} " for key, value in rows[name].items()))
    print(json.dumps(rows))


def _evaluate(
    kind: type[Concatenated | Gated | Bilinear], arrays: Arrays, settings: params.Head, seed: int
) -> dict[str, float]:
    """Validation loss, validation top-1 and test top-1 at the epoch of the lowest validation loss."""
    parts = {name: select_clips(arrays, arrays["split"] == name) for name in ("train", "val", "test")}
    moments = {name: mean_and_std(torch.from_numpy(parts["train"][name])) for name in ("keyframe", "motion")}
    labels = {name: torch.from_numpy(data["label"]) for name, data in parts.items()}
    torch.manual_seed(seed)
    net = kind([len(mean) for mean, _ in moments.values()], len(arrays["classes"]), settings)
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    steps = settings.epochs * -(-len(labels["train"]) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=settings.lr, total_steps=steps)
    plain = {name: _inputs(parts[name], moments, None) for name in ("val", "test")}
    best, epochs_since = {"val_loss": float("inf")}, 0
    for _ in range(settings.epochs):
        net.train()
        for rows in torch.randperm(len(labels["train"])).split(settings.batch):
            loss = nn.functional.cross_entropy(net(_inputs(parts["train"], moments, rows)), labels["train"][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            val, test = (net.eval()(plain[name]) for name in ("val", "test"))
        val_loss = nn.functional.cross_entropy(val, labels["val"]).item()
        epochs_since += 1
        if val_loss < best["val_loss"]:
            best, epochs_since = {"val_loss": val_loss, "val": _top1(val, labels["val"])}, 0
            best["test"] = _top1(test, labels["test"])
        if epochs_since >= settings.patience:
            break
    return best


def _inputs(data: Arrays, moments: dict[str, tuple[Tensor, Tensor]], rows: Tensor | None) -> Streams:
    """Inputs of a network: a random view of each of the clips `rows`, or the plain view of all clips without rows."""
    selected = torch.arange(len(data["label"])) if rows is None else rows
    streams, keyframe = [], torch.from_numpy(data["keyframe"][:, 0])[selected].numpy()
    for name, (mean, std) in moments.items():
        stream = torch.from_numpy(data[name])
        view = torch.zeros_like(selected) if rows is None else torch.randint(stream.shape[1], selected.shape)
        streams.append((stream[selected, view] - mean) / std)
    zero_shot = methods.zero_shot_logits(keyframe, data["prompts"], float(data["logit_scale"]))
    return [*streams, torch.from_numpy(zero_shot).float()]


def _top1(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(dim=1) == labels).double().mean().item()


if __name__ == "__main__":
    run(main)
