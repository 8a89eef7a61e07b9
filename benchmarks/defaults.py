"""The rule of docs/defaults.md: choose the defaults of the head and the method that answers, on validation clips.

Run `python -m benchmarks.defaults NAME=FILE...`, where NAME is a data set and FILE the features/pairs.h5 of one of its
folds; give a data set once for each of its folds. Files with several keyframes per clip answer the question about
pooling, and all others the other questions. It prints the score of every candidate on every data set and the
choices, and writes them to benchmarks/defaults.json, which a test compares with params.yaml and the code.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mocliplite import files, params
from mocliplite.errors import UserError, run
from mocliplite.evaluation.calibration import fit_temperature, log_losses
from mocliplite.evaluation.intervals import mean_over_seeds
from mocliplite.evaluation.metrics import within_top
from mocliplite.fusion import methods
from mocliplite.fusion.head_training import fit_head
from mocliplite.fusion.pairs import Arrays, read_split, select_clips
from mocliplite.fusion.probes import fit_probes

RECORD = Path(__file__).with_suffix(".json")
HALVINGS = 3
# Settings of the head, compared by the row fusion in this order.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "start": ("random", "ridge", "scores"),
    "label_smoothing": (0.0, 0.1),
    "views": ("plain", "all"),
    "pooling": ("mean", "attention"),
}
BLENDS = {
    "keyframe, motion, fusion": ("keyframe", "motion", "fusion"),
    "keyframe, motion, ridge, fusion": ("keyframe", "motion", "ridge", "fusion"),
}
ANSWERS = ("fusion", "ridge", "score_fusion", "blend")
PER_DATA_SET = "chosen per data set"


class Scores(NamedTuple):
    """A candidate on the validation clips of one fold, mean over halvings and seeds."""

    loss: np.ndarray  # [N]
    top1: np.ndarray  # [N]


class Fold(NamedTuple):
    """Train and validation clips of one pairs.h5."""

    train: Arrays
    val: Arrays

    @property
    def several(self) -> bool:
        """Whether there are several keyframes per clip."""
        return bool(self.train["keyframe"].shape[1] > 1)


Folds = Mapping[str, Sequence[Fold]]  # by data set
Results = Mapping[str, Sequence[Mapping[str, Scores]]]  # by data set: of each fold, by method


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE", help="data set, and features/pairs.h5 of one fold")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of the heads (2)")
    parser.add_argument("--processes", type=int, default=2, help="folds evaluated at the same time (2)")
    parser.add_argument("--record", type=Path, default=RECORD, help=f"file to write ({RECORD.name})")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = replace(params.load("configs/folder.yaml").head, seeds=given.seeds)
    record = answer_questions(read_folds(given.files), settings, given.processes)
    files.write_json(given.record, record)
    print(json.dumps({question["question"]: question["choice"] for question in record["questions"]}))


def read_folds(arguments: Sequence[str]) -> dict[str, list[Fold]]:
    """Read the files NAME=FILE; test clips are dropped."""
    folds: dict[str, list[Fold]] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals:
            raise UserError(f"{argument} names no data set; write NAME=FILE, such as sample=features/pairs.h5.")
        folds.setdefault(name, []).append(Fold(*(read_split(path, split).arrays for split in ("train", "val"))))
    return folds


def answer_questions(folds: Folds, settings: params.Head, processes: int = 1) -> dict[str, Any]:
    """Answer all questions in order; return the content of defaults.json."""
    one, several = (
        {name: found for name, parts in folds.items() if (found := [fold for fold in parts if fold.several is many])}
        for many in (False, True)
    )

    @cache
    def fusion_scores(settings: params.Head, many: bool) -> dict[str, Scores]:
        return pick(evaluate(several if many else one, settings, True, processes), "fusion")

    questions = []
    settings = replace(settings, **{key: values[0] for key, values in SETTINGS.items()})
    for key, values in SETTINGS.items():
        many = key == "pooling"
        fusion = {value: fusion_scores(replace(settings, **{key: value}), many) for value in values}
        questions.append(choose(several if many else one, f"head.{key}", fusion))
        settings = replace(settings, **{key: questions[-1]["choice"]})
    results = evaluate(one, settings, processes=processes)
    questions.append(choose(one, "members of blend", {name: pick(results, name) for name in BLENDS}))
    blend = questions[-1]["choice"]
    answers = {name: pick(results, blend if name == "blend" else name) for name in ANSWERS}
    answers[PER_DATA_SET] = pick(results, f"{PER_DATA_SET}, {blend}")
    questions.append(choose(one, "answer", answers))
    data = {
        keyframes: {
            name: {"folds": len(parts), "validation clips": sum(len(fold.val["label"]) for fold in parts)}
            for name, parts in compared.items()
        }
        for keyframes, compared in (("one keyframe", one), ("several keyframes", several))
    }
    return {"data": data, "seeds": settings.seeds, "questions": questions}


def pick(results: Results, method: str) -> dict[str, Scores]:
    """Return the scores of one method, by data set, over the clips of all folds."""
    return {
        name: Scores(*(np.concatenate(parts) for parts in zip(*(fold[method] for fold in found), strict=True)))
        for name, found in results.items()
    }


def choose(folds: Folds, question: str, candidates: Mapping[Any, Mapping[str, Scores]]) -> dict[str, Any]:
    """Apply the one-standard-error rule to the candidates, in their order; print and return scores and choice."""
    choice, comparisons = next(iter(candidates)), []
    for name in list(candidates)[1:]:
        parts = [
            difference(candidates[name][data].loss - candidates[choice][data].loss, _groups(folds[data]))
            for data in folds
        ]
        mean = float(np.mean([part[0] for part in parts]))
        error = float(np.sqrt(np.sum([part[1] for part in parts]))) / len(parts)
        comparisons.append({"candidate": name, "to": choice, "difference": round(mean, 4), "error": round(error, 4)})
        choice = name if mean < -error else choice
    scores = {
        str(name): {
            data: {"loss": round(float(found.loss.mean()), 4), "top1": round(float(found.top1.mean()), 4)}
            for data, found in by_data.items()
        }
        for name, by_data in candidates.items()
    }
    print(f"\n{question}: {choice}")
    for name, by_data in scores.items():
        print(f"  {name:34}", *(f"{data} {row['loss']:.3f} {row['top1']:.3f} " for data, row in by_data.items()))
    for row in comparisons:
        print(f"  {row['candidate']} minus {row['to']}: {row['difference']:+.4f}, standard error {row['error']:.4f}")
    sys.stdout.flush()
    return {"question": question, "choice": choice, "scores": scores, "comparisons": comparisons}


def difference(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Mean of values [N], and its squared standard error, where the clips of a group are one observation."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"all validation clips are in the group {names[0]}; give files of more folds.")
    sums = np.bincount(group, values - values.mean())
    return float(values.mean()), float(len(names) / (len(names) - 1) * np.square(sums).sum()) / len(values) ** 2


def _groups(folds: Sequence[Fold]) -> np.ndarray:
    return np.concatenate([fold.val["group"] for fold in folds])


# Scores on validation clips that had no part in the choices


def evaluate(
    folds: Folds, settings: params.Head, only_fusion: bool = False, processes: int = 1
) -> dict[str, list[dict[str, Scores]]]:
    """Return the scores of all methods with these settings, or of fusion alone, by data set and fold."""
    flat = [fold for parts in folds.values() for fold in parts]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        scores = iter(pool.map(partial(nested_scores, settings=settings, only_fusion=only_fusion), flat, chunksize=1))
    return {name: [next(scores) for _ in parts] for name, parts in folds.items()}


def nested_scores(fold: Fold, settings: params.Head, only_fusion: bool = False) -> dict[str, Scores]:
    """Score each method on either half of the validation clips, with the choices made on the other half."""
    labels = fold.val["label"]
    scores: dict[str, Scores] = {}
    for seed in range(HALVINGS):
        first = halve(labels, fold.val["group"], seed)
        for half in (first, ~first):
            logits = fit(fold.train, select_clips(fold.val, half), fold.val, settings, only_fusion)
            calibrated = calibrate(logits, labels, half)
            for blend in BLENDS if not only_fusion else ():
                names = [blend if name == "blend" else name for name in ANSWERS]
                best = best_method(logits, labels, fold.val["group"], half, names)
                calibrated[f"{PER_DATA_SET}, {blend}"] = calibrated[best]
            for name, values in calibrated.items():
                found = scores.setdefault(name, Scores(np.zeros(len(labels)), np.zeros(len(labels))))
                scored = values[..., ~half, :]
                found.loss[~half] += np.atleast_2d(log_losses(scored, labels[~half])).mean(axis=0) / HALVINGS
                found.top1[~half] += mean_over_seeds(within_top(scored, labels[~half], 1)) / HALVINGS
    return scores


def halve(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Whether each validation clip is in the first half, bool [N]: whole groups, and about half of each class.

    A group that has all clips of its only class is divided clip by clip, and so is a single group.
    """
    units = groups.astype(object)
    if len(set(groups)) == 1:
        units = np.array([f"{row:06d}" for row in range(len(groups))], dtype=object)
    for label in np.unique(labels):
        of_class = labels == label
        if len(set(groups[of_class])) == 1 and set(labels[groups == groups[of_class][0]]) == {label}:
            units[of_class] = [f"{unit} {row}" for row, unit in enumerate(units[of_class])]
    names = np.random.default_rng(seed).permutation(sorted(set(units)))
    most_frequent = [int(np.bincount(labels[units == name]).argmax()) for name in names]
    in_order = names[np.argsort(most_frequent, kind="stable")]
    return np.isin(units.astype(str), in_order[seed % 2 :: 2].astype(str))


def fit(
    train: Arrays, chosen_on: Arrays, val: Arrays, settings: params.Head, only_fusion: bool
) -> dict[str, np.ndarray]:
    """Fit probes and heads, choosing on some validation clips; return the logits of all validation clips."""
    probes, alphas = fit_probes(train, chosen_on, settings.class_weight)
    tensors: dict[str, np.ndarray] = {}
    for name in ("fusion",) if only_fusion else methods.STREAMS:
        tensors |= fit_head(name, train, chosen_on, settings, torch.device("cpu"), alphas)[0]
    if only_fusion:
        return {"fusion": methods.head_logits(tensors, "fusion", val)}
    return methods.trained_logits(tensors, probes, val)


def calibrate(logits: Mapping[str, np.ndarray], labels: np.ndarray, half: np.ndarray) -> dict[str, np.ndarray]:
    """Calibrated logits of all validation clips, of all methods and mixtures, fitted on one half."""
    calibrated = {name: values / fit_temperature(values[..., half, :], labels[half]) for name, values in logits.items()}
    mixtures = {"score_fusion": methods.MIXED["score_fusion"], **BLENDS}
    for name, members in mixtures.items():
        if not set(members) <= set(logits):
            continue
        parts = [calibrated[member] for member in members]
        weights = methods.fit_mixing_weights([part[..., half, :] for part in parts], labels[half])
        mixed = methods.mix(parts, weights)
        calibrated[name] = mixed / fit_temperature(mixed[..., half, :], labels[half])
    return calibrated


def best_method(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, half: np.ndarray, names: Sequence[str]
) -> str:
    """Return the method that one half of the validation clips chooses, by two-fold cross-validation within it."""
    rows = np.flatnonzero(half)
    inner = halve(labels[rows], groups[rows], 0)
    losses = dict.fromkeys(names, 0.0)
    for part in (inner, ~inner):
        calibrated = calibrate(logits, labels, np.isin(np.arange(len(labels)), rows[part]))
        others = rows[~part]
        for name in names:
            losses[name] += float(
                np.atleast_2d(log_losses(calibrated[name][..., others, :], labels[others])).sum(1).mean()
            )
    return min(names, key=losses.__getitem__)


if __name__ == "__main__":
    run(main)
