"""Test accuracy with few train clips per class: which method is best for a small data set?

Arrays are those of features/pairs.h5.
"""

import contextlib
import io
from collections.abc import Callable, Sequence

import numpy as np
import torch

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.evaluation.metrics import mean_class, within_top
from mocliplite.fusion import methods, ridge
from mocliplite.fusion.draws import draw_clips
from mocliplite.fusion.head_training import fit_head
from mocliplite.fusion.pairs import Arrays, features, select_clips
from mocliplite.fusion.probes import PROBES
from mocliplite.runtime.progress import progress

METHODS = ("zero_shot", "keyframe_probe", "motion_probe", "ridge", "fusion")
FIGURES = {"top1": "top-1", "mean_class": "mean class"}
Row = dict[str, float]
Splits = tuple[Arrays, Arrays, Arrays]  # the train, validation and test clips


def few_shot(
    splits: Splits,
    shots: Sequence[int],
    draws: int,
    settings: params.Head,
    device: torch.device,
    prepare: Callable[[Splits], Splits] = lambda splits: splits,
) -> list[Row]:
    """Return a row per number of train clips per class: figures of METHODS on the test clips.

    A row has mean and standard deviation over random draws of the train clips by whole groups, see `draw_clips`; one
    draw is enough where it takes all clips. The probes see nothing but the drawn clips: the penalty is chosen by
    leaving out their groups in turn. The head also uses the validation clips, which choose its epoch, as in the
    pipeline.

    The motion network of the pipeline was trained on all train clips, so the methods with motion are better than they
    would be with so few clips. prepare: returns the splits, of which the train clips are those of a draw, with the
    embeddings of another motion network. Raises UserError where a clip may have several classes.
    """
    train, val, test = splits
    if train["label"].ndim == 2:
        raise UserError("few-shot draws a number of clips of each class, but these clips have several (multi_label).")
    largest = int(np.bincount(train["label"]).max())
    draws_of = {size: draws if size < largest else 1 for size in shots}
    rows = []
    with progress("few-shot", sum(draws_of.values()), "draw") as bar:
        for size in shots:
            figures: list[dict[str, float]] = []
            for draw in range(draws_of[size]):
                clips = select_clips(train, draw_clips(train["label"], train["group"], size, draw))
                figures.append(_figures(_test_logits(prepare((clips, val, test)), settings, device), test))
                bar.update()
            rows.append({"shots": size, "clips": len(clips["label"]), "draws": len(figures), **_mean_and_std(figures)})
    return rows


def smallest_class(train: Arrays) -> tuple[str, int]:
    """Return the class with the fewest train clips, and their number."""
    counts = np.bincount(train["label"], minlength=len(train["classes"]))
    return str(train["classes"][counts.argmin()]), int(counts.min())


def table(rows: Sequence[Row], figure: str) -> str:
    """Return the rows of `few_shot` as lines of text: mean (standard deviation over draws). figure: one of FIGURES."""
    names = [name for name in METHODS if f"{figure}_{name}" in rows[0]]
    lines = [f"{'clips per class':>15}{'clips':>8}{'draws':>7}" + "".join(f"{name:>16}" for name in names)]
    for row in rows:
        cells = "".join(f"{row[f'{figure}_{name}']:8.3f} ({row[f'{figure}_{name}_std']:.3f})" for name in names)
        lines.append(f"{row['shots']:>15}{row['clips']:>8}{row['draws']:>7}{cells}")
    return "\n".join(lines)


def _mean_and_std(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    row = {}
    for key in figures[0]:
        values = [figure[key] for figure in figures]
        row[key] = float(np.mean(values))
        row[f"{key}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return row


def _test_logits(splits: Splits, settings: params.Head, device: torch.device) -> dict[str, np.ndarray]:
    """Logits [N, C] or [S, N, C] of each of METHODS for the test clips, fitted on the train clips."""
    train, val, test = splits
    classes = len(train["classes"])
    logits = {}
    if "prompts" in test:
        scale = float(test["logit_scale"])
        logits["zero_shot"] = methods.zero_shot_logits(test["keyframe"][:, 0], test["prompts"], scale)
    alphas = {}
    for name, streams in PROBES.items():
        x = features(train, streams)
        alphas[name] = ridge.left_out_penalty(x, train["label"], train["group"], classes)
        logits[name] = ridge.scores_of((x, train["label"]), classes, alphas[name], features(test, streams))
    with contextlib.redirect_stderr(io.StringIO()):  # the progress bar of every head
        tensors, _, _ = fit_head("fusion", train, val, settings, device, alphas)
    logits["fusion"] = methods.head_logits(tensors, "fusion", test)
    return logits


def _figures(logits: Arrays, test: Arrays) -> dict[str, float]:
    """Top-1 and mean-class accuracy of each method, by "figure_method"."""
    figures = {}
    for name in [name for name in METHODS if name in logits]:
        correct = within_top(logits[name], test["label"], 1)
        figures[f"top1_{name}"] = float(correct.mean())
        figures[f"mean_class_{name}"] = mean_class(correct, test["label"], test["group"])["mean"]
    return figures
