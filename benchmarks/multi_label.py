"""Clips of two objects with several classes each, against a training that knows one class of each clip.

Run as `python -m benchmarks.multi_label` after `dvc repro`, whose CLIP it uses; takes minutes. Renders clips in which
two of the sample's objects move in one of its motions each: their classes are the objects and the motions, three or
four of the eight. The pipeline runs twice on the same clips and splits: with all classes of each clip
(dataset.multi_label), and with one of them, drawn at random. Prints the mean average precision of each method on the
test clips, for which all classes are known, and as the last line JSON.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import yaml

from mocliplite import checkpoint, files
from mocliplite.evaluation.method_table import METHODS
from mocliplite.evaluation.metrics import softmax
from mocliplite.evaluation.multi_label import class_average_precision, over_seeds, resampled, sigmoid, summary
from mocliplite.fusion import methods
from mocliplite.fusion.pairs import read_split
from sample import scene
from sample.videos import encode

ROOT = Path(__file__).parents[1]
GROUPS, CLIPS_OF_GROUP = 30, 6  # clips of one group have the same background and lighting
SPLITS = {"train": range(18), "val": range(18, 23), "test": range(23, 30)}  # groups
RADIUS = (20, 26)  # pixels, of an object in the middle frame
OFFSET = 34  # pixels, of an object in the middle frame from the centre, to the left or the right
OUTSIDE = scene.Pose(-100, -100, 0, 10)
SEED = 7
EXTRACTION = ("motion", "keyframes")
STAGES = (
    "index",
    "split",
    *EXTRACTION,
    "prompts",
    "train_motion",
    "embed_motion",
    "pairs",
    "train_probes",
    "train_head",
)

Sprite = tuple[str, str]  # object and motion


def main() -> None:
    given = _parser().parse_args()
    rows = _write_clips(given.work / "clips", given.processes)
    several, one = given.work / "several", given.work / "one"
    drawn = np.random.default_rng(SEED)
    for folder, labels in (
        (several, ["|".join(row["labels"]) for row in rows]),
        (one, [drawn.choice(row["labels"]) for row in rows]),
    ):
        _prepare(folder, rows, labels, given.clip, folder is several)
    _run_stages(several)
    for store in EXTRACTION:  # the same clips, so the other run computes nothing
        shutil.copytree(several / "features" / store, one / "features" / store, dirs_exist_ok=True)
    _run_stages(one)

    tables = {folder.name: _figures(folder, several) for folder in (several, one)}
    print(f"{'mAP on the test clips':<24}several labels           one label drawn")
    for name in (name for name in METHODS if name in tables["several"]):
        cells = [
            f"{row['mean']:.3f} ({row['low']:.3f}-{row['high']:.3f})"
            for row in (tables[folder][name] for folder in ("several", "one"))
        ]
        print(f"{name:<24}{cells[0]:<25}{cells[1]}")
    print(
        json.dumps(
            files.rounded({name: {key: row["mean"] for key, row in table.items()} for name, table in tables.items()})
        )
    )


def _write_clips(folder: Path, processes: int) -> list[dict[str, object]]:
    """Render the clips that do not exist yet; return path, labels, group and split of each."""
    jobs = [(folder, group, number) for group in range(GROUPS) for number in range(CLIPS_OF_GROUP)]
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_write_clip, jobs, chunksize=4))
    return [
        {
            "path": f"{group}_{number}.avi",
            "labels": sorted({name.title() for sprite in _sprites(group, number) for name in sprite}),
            "group": f"g{group}",
            "split": next(split for split, groups in SPLITS.items() if group in groups),
        }
        for _, group, number in jobs
    ]


def _sprites(group: int, number: int) -> tuple[Sprite, Sprite]:
    """Return the two objects of a clip, which differ, and their motions."""
    rng = np.random.default_rng([SEED, group, number])
    first, second = rng.choice(scene.OBJECTS, 2, replace=False).tolist()
    return (first, str(rng.choice(scene.MOTIONS))), (second, str(rng.choice(scene.MOTIONS)))


def _write_clip(job: tuple[Path, int, int]) -> None:
    folder, group, number = job
    path = folder / f"{group}_{number}.avi"
    if not path.is_file():
        with files.atomic_write(path) as partial:
            encode(_render(_sprites(group, number), group, number), partial)


def _render(sprites: tuple[Sprite, Sprite], group: int, number: int) -> np.ndarray:
    """Return one clip, uint8 RGB [FRAMES, HEIGHT, WIDTH, 3]; where the objects meet, the second is in front."""
    rng = np.random.default_rng([SEED, group, number, 0])
    poses, appearances = [], []
    for (object_name, motion), side in zip(sprites, (-1, 1), strict=True):
        # The object is drawn last, so that all objects of a group have the same background and lighting.
        appearances.append(scene.random_appearance(object_name, np.random.default_rng([SEED, group])))
        x, y = scene.WIDTH / 2 + side * OFFSET + rng.uniform(-6, 6), scene.HEIGHT / 2 + rng.uniform(-20, 20)
        middle = scene.Pose(float(x), float(y), float(rng.uniform(0, 360)), float(rng.uniform(*RADIUS)))
        poses.append(scene.trajectory(motion, middle, rng))
    drift = rng.uniform(-0.4, 0.4, 2)
    frames = []
    for index, (back_pose, front_pose) in enumerate(zip(*poses, strict=True)):
        shift = tuple((drift * (index - scene.MIDDLE)).tolist())
        empty, back, front = (
            # The same noise in all pictures of a frame, so that only the object differs.
            scene.render(appearance, pose, shift, np.random.default_rng([SEED, group, number, index]))
            for appearance, pose in (
                (appearances[0], OUTSIDE),
                (appearances[0], back_pose),
                (appearances[1], front_pose),
            )
        )
        frames.append(np.where((front != empty).any(axis=2, keepdims=True), front, back))
    return np.stack(frames)


def _prepare(folder: Path, rows: list[dict[str, object]], labels: list[str], clip: Path, multi_label: bool) -> None:
    """Write the list of the clips and params.yaml, with the settings of the sample but for the data set."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "split"])
        writer.writerows(
            [row["path"], label, row["group"], row["split"]] for row, label in zip(rows, labels, strict=True)
        )
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    clips = str((folder.parent / "clips").resolve())
    settings["dataset"] |= {"root": clips, "files": clips, "lists": "clips.csv", "multi_label": multi_label}
    settings["dataset"] |= {"group": None, "shared_groups": True}
    settings["encoder"] |= {"model": str(clip.resolve()), "files": str(clip.resolve())}
    settings["encoder"] |= {key: str(ROOT / settings["encoder"][key]) for key in ("prompts", "names")}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def _run_stages(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for stage in STAGES:
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=environment, check=True)


def _figures(folder: Path, with_labels: Path) -> dict[str, dict[str, float]]:
    """Return the mAP of each method of a run, with interval. with_labels: the run whose pairs have all labels."""
    pairs, truth = (read_split(run / "features/pairs.h5", "test").arrays for run in (folder, with_labels))
    if pairs["ids"].tolist() != truth["ids"].tolist() or pairs["classes"].tolist() != truth["classes"].tolist():
        sys.exit(f"the runs in {folder} and {with_labels} are of different clips; give an empty --work.")
    heads, config = checkpoint.load(folder / "models/head")
    probes, _ = checkpoint.load(folder / "models/probes")
    calibration = config["calibration"]
    link = sigmoid if methods.is_multi_label(calibration) else softmax
    weights, labels = resampled(truth["group"]), truth["label"]
    return {
        name: summary(over_seeds(class_average_precision, link(values), labels, weights), truth["group"])
        for name, values in methods.calibrate(methods.all_logits(heads, probes, pairs), calibration).items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi_label", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / ".multi_label", help="folder of clips, features and models")
    parser.add_argument("--clip", type=Path, default=ROOT / "sample/data/clip", help="the sample's CLIP")
    parser.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
