"""The methods compared on real footage, with cross-validation over whole groups and the test clips of all folds pooled.

Run `python -m benchmarks.real`. It prepares the pairs of two data sets with `benchmarks.real_pairs` (see there), fits
all methods of the project's table on them with one, three and eight keyframes per clip, and some with few train clips
per class, and prints the tables of docs/results.md. A control repeats this with the vectors of re-encoded clips, and a
classifier that sees nothing but the settings of the original encoder (`benchmarks.codec_traits`) shows how far these
alone give the class away. What exists in the folder --work is not computed again.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks import codec_traits, efficientnet_lite, real_pairs
from benchmarks.methods import evaluate_fold
from mocliplite import files, params
from mocliplite.data.clips import Clip, class_names, read_clips
from mocliplite.errors import run
from mocliplite.evaluation import intervals, method_table
from mocliplite.evaluation.metrics import mean_class, within_top
from mocliplite.fusion import few_shot
from mocliplite.fusion.pairs import read_split
from mocliplite.motion import extraction
from mocliplite.motion_net import networks, sampling
from mocliplite.motion_net.embedding import embed_motion
from mocliplite.store import stores
from mocliplite.video.keyframes import read_keyframes

# Differences that say what motion adds; the best single stream is chosen on the validation clips of each fold.
DIFFERENCES = (
    ("fusion", "best_single"),
    ("blend", "best_single"),
    ("ridge", "keyframe_probe"),
    ("score_fusion", "keyframe"),
    ("fusion", "keyframe"),
    ("fusion", "motion"),
)
SHOTS, DRAWS = (1, 2, 4, 8), 3  # train clips per class, and random draws of them in each fold
CONTROLLED = ("motion", "ridge", "fusion", "blend")  # compared between own and re-encoded vectors


class Pooled(NamedTuple):
    """The test clips of all folds. `correct` has [N] or, for methods with seeds, [S, N] by method."""

    correct: dict[str, np.ndarray]
    labels: np.ndarray
    groups: np.ndarray


def main() -> None:
    given = _parser().parse_args()
    settings = params.load(real_pairs.ROOT / "configs/folder.yaml").head
    settings = replace(settings, seeds=given.seeds)
    start, summary = time.perf_counter(), {}
    for name in given.data_sets:
        root, work = given.root / name, given.work / name
        folds, control = (
            real_pairs.prepare(root, work, name, reencoded, given.processes, given.epochs)
            for reencoded in (False, True)
        )
        own = {count: evaluate(folds, count, settings) for count in real_pairs.FRAMES}
        reencoded = {count: evaluate(control, count, settings) for count in real_pairs.FRAMES}
        clips, store = read_clips(work / "features/clips.csv"), stores.open_store(work / "features/motion")
        traits = codec_traits.evaluate(store, clips, [fold / "F1/pairs.h5" for fold in folds])
        for pooled in own.values():
            pooled.correct["codec_traits"] = traits
        summary[name] = {"own vectors": figures(own), "re-encoded": figures(reencoded), "cost": cost(work, clips)}
        summary[name]["control"] = control_figures(own, reencoded)
        summary[name]["few clips"] = few_clips([fold / "F1/pairs.h5" for fold in folds], settings)
        for kind in ("own vectors", "re-encoded"):
            print(f"\n{name}, {kind}, {len(traits)} test clips in {len(folds)} folds\n")
            print("\n".join([*table(summary[name][kind]), "", *differences_table(summary[name][kind])]))
        print("\n".join(["", *differences_table(summary[name]["control"])]))
        print("\n".join(["", *few_clips_table(summary[name]["few clips"])]))
        print("\n".join(["", *cost_table(summary[name]["cost"])]))
    print(f"\n{time.perf_counter() - start:.0f} s")
    files.write_json(given.work / "results.json", files.rounded(summary))


def evaluate(folds: Iterable[Path], count: int, settings: params.Head) -> Pooled:
    """Fit all methods on each fold's pairs with `count` keyframes, and return what they answer to its test clips."""
    results = [evaluate_fold(str(fold / f"F{count}/pairs.h5"), settings) for fold in folds]
    by_fold = [{name: within_top(values, fold.labels, 1) for name, values in fold.logits.items()} for fold in results]
    correct = {name: np.concatenate([fold[name] for fold in by_fold], axis=-1) for name in by_fold[0]}
    correct["best_single"] = np.concatenate(
        [
            intervals.mean_over_seeds(right[fold.calibration["best_single"]])
            for right, fold in zip(by_fold, results, strict=True)
        ]
    )
    labels, groups = (np.concatenate([getattr(fold, key) for fold in results]) for key in ("labels", "groups"))
    return Pooled(correct, labels, groups)


def figures(pooled: Mapping[int, Pooled]) -> dict[str, Any]:
    """Top-1 and mean-class accuracy of each method, and DIFFERENCES, by number of keyframes."""
    return {
        str(count): {
            "top1": {name: intervals.summary(right, part.groups) for name, right in part.correct.items()},
            "mean_class": {name: mean_class(right, part.labels, part.groups) for name, right in part.correct.items()},
            "minus": {
                f"{one} minus {other}": intervals.difference(part.correct[one], part.correct[other], part.groups)
                for one, other in DIFFERENCES
            },
        }
        for count, part in pooled.items()
    }


def control_figures(own: Mapping[int, Pooled], reencoded: Mapping[int, Pooled]) -> dict[str, Any]:
    """Differences of CONTROLLED methods between a clip's own vectors and those of the re-encoded clip."""
    return {
        str(count): {
            "minus": {
                f"{name}: own vectors minus re-encoded": intervals.difference(
                    part.correct[name], reencoded[count].correct[name], part.groups
                )
                for name in CONTROLLED
            }
        }
        for count, part in own.items()
    }


def few_clips(paths: Sequence[Path], settings: params.Head) -> list[dict[str, float]]:
    """Return the rows of `few_shot` with one keyframe, each figure the mean over the folds, weighted by test clips."""
    by_fold, weights = [], []
    for path in paths:
        train, val, test = (read_split(path, split).arrays for split in ("train", "val", "test"))
        by_fold.append(few_shot.few_shot((train, val, test), SHOTS, DRAWS, settings, torch.device("cpu")))
        weights.append(len(test["label"]))
    return [
        {key: float(np.average([row[key] for row in rows], weights=weights)) for key in rows[0]}
        for rows in zip(*by_fold, strict=True)
    ]


def few_clips_table(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Lines of a table in Markdown: top-1 and its standard deviation over draws, by train clips per class."""
    names = [name for name in few_shot.METHODS if f"top1_{name}" in rows[0]]
    cells = [
        [f"{row['shots']:.0f}", *(f"{row[f'top1_{name}']:.3f} ({row[f'top1_{name}_std']:.3f})" for name in names)]
        for row in rows
    ]
    return _markdown([["train clips per class", *(f"`{name}`" for name in names)], *cells])


def table(by_count: Mapping[str, Any]) -> list[str]:
    """Lines of a table in Markdown: accuracies by method."""
    first = next(iter(by_count.values()))
    names = [name for name in ("codec_traits", *method_table.METHODS) if name in first["top1"]]
    rows = [["top-1 (95 % interval), mean class", *_counts(by_count)]]
    for name in names:
        cells = []
        for part in by_count.values():
            row = part["top1"][name]
            by_class = part["mean_class"][name]["mean"]
            cells.append(f"{row['mean']:.3f} ({row['low']:.3f}-{row['high']:.3f}), {by_class:.3f}")
        rows.append([f"`{name}`", *cells])
    return _markdown(rows)


def differences_table(by_count: Mapping[str, Any]) -> list[str]:
    """Lines of a table in Markdown: the differences in `minus`."""
    rows = [["difference in top-1 (95 % interval)", *_counts(by_count)]]
    for name in next(iter(by_count.values()))["minus"]:
        gains = [part["minus"][name] for part in by_count.values()]
        cells = [f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" for gain in gains]
        rows.append([name.replace("best_single", "best single stream"), *cells])
    return _markdown(rows)


def _counts(by_count: Mapping[str, Any]) -> list[str]:
    return [f"{count} keyframe{'s' if count != '1' else ''}" for count in by_count]


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


# Cost


def cost(work: Path, clips: Sequence[Clip], count: int = 12) -> dict[str, dict[str, float]]:
    """Multiply-accumulates and CPU seconds of one core per clip, by part: means over `count` clips."""
    torch.set_num_threads(1)
    settings = params.load(work / "params.yaml")
    paths = [f"{settings.dataset.root}/{clip.path}" for clip in clips[:: max(1, len(clips) // count)]]
    image_net = efficientnet_lite.load()
    motion_net = networks.build_network(settings.motion_net, len(class_names(clips))).eval()
    image = networks.cost(image_net, torch.zeros(1, 3, efficientnet_lite.SIZE, efficientnet_lite.SIZE))["macs"]

    def embed_keyframes(path: str, frames: int) -> None:
        efficientnet_lite.embed(image_net, [found.image for found in read_keyframes(path, frames, "middle")])

    def embed_vectors(path: str) -> None:
        field = extraction.motion_field(path, settings.motion)
        positions = sampling.frames_at(field.kind, sampling.view_positions(settings.motion_net))
        grid = settings.motion_net.rows, settings.motion_net.cols
        size = field.height, field.width
        fields = sampling.sample_fields(field.vectors[positions], size, grid, settings.motion_net.remove_global_motion)
        embed_motion(motion_net, torch.from_numpy(fields)[None], settings.motion_net)

    example = torch.zeros(1, settings.motion_net.frames, 3, settings.motion_net.rows, settings.motion_net.cols)
    parts = {"motion": {"macs": networks.cost(motion_net, example)["macs"], "seconds": _seconds(embed_vectors, paths)}}
    for frames in real_pairs.FRAMES:
        seconds = _seconds(partial(embed_keyframes, frames=frames), paths)
        parts[f"{frames} keyframes"] = {"macs": image * frames, "seconds": seconds}
    return parts


def _seconds(work: Callable[[str], None], paths: Sequence[str]) -> float:
    """CPU seconds of a call per clip, after one call that loads what is needed."""
    work(paths[0])
    start = time.process_time()
    for path in paths:
        work(path)
    return (time.process_time() - start) / len(paths)


def cost_table(parts: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines of a table in Markdown."""
    rows = [["part", "multiply-accumulates per clip", "CPU seconds per clip"]]
    rows += [[name, f"{part['macs'] / 1e9:.3f} G", f"{part['seconds']:.3f}"] for name, part in parts.items()]
    return _markdown(rows)


def _parser() -> argparse.ArgumentParser:
    parser = real_pairs.parser("benchmarks.real", __doc__)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the heads")
    return parser


if __name__ == "__main__":
    run(main)
