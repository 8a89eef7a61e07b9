"""Feature stores of any number of clips that are no videos, to measure the stages after extraction.

`python -m benchmarks.made_up FOLDER --clips 240000` writes params.yaml, clips/ and features/ into a folder, as the
stages index, split, keyframes, prompts and embed_motion would write them; `python -m stages.pairs`, run in the folder,
and the stages after it accept them. The lengths are those of CLIP's keyframes and of the default motion network.
"""

import argparse
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mocliplite import params
from mocliplite.csv_files import write_csv
from mocliplite.data.clips import Clip, class_names, id_of, write_clips
from mocliplite.data.splits import digest_of_fitted, split_clips, write_splits
from mocliplite.files import write_json
from mocliplite.store import layout, shards, stores, table_file

ROOT = Path(__file__).parents[1]
GROUPS = 25  # of a class that has as many clips, as in UCF101
KEYFRAME, MOTION, VIEWS = 512, 128, 3
LATENT = 64  # informative dimensions of each stream
NOISE, GROUP_NOISE = 2.0, 0.8  # standard deviations around the centre of a class, where those of the centres are 1
_ENCODER = {"weights": "made up"}
_MOTION = {"cell_size": 8}
_COST = {"cost": {"parameters": 0, "macs": 0}}


@dataclass(frozen=True)
class _Stream:
    """What the features of a stream are drawn from: signal [N, LATENT] of each clip, mapped to the features."""

    signal: np.ndarray
    rotation: np.ndarray  # [D, LATENT]
    centres: np.ndarray  # [C, LATENT]

    def features(self, rows: np.ndarray, views: int) -> np.ndarray:
        """Features float32 [n, views, D] of some clips."""
        shape = (len(rows), views, len(self.rotation))
        noise = 0.02 * np.random.default_rng(rows).standard_normal(shape, dtype=np.float32)
        return (self.signal[rows] @ self.rotation.T)[:, None] + noise


def write_project(folder: Path, count: int, classes: int | None = None) -> None:
    """Write params.yaml and the inputs of the stages for `count` clips into a folder; classes as in clips_of."""
    put_params(folder)
    settings = params.load(folder / "params.yaml").dataset
    clips, features = clips_of(count, classes), folder / "features"
    splits = split_clips(clips, settings)
    _write_files(folder / settings.root, clips)
    write_clips(features / "clips.csv", clips)
    write_splits(features / "splits.csv", splits)

    rng = np.random.default_rng(0)
    labels = np.array([clip.index for clip in clips])
    groups = np.unique([f"{clip.label}/{clip.group}" for clip in clips], return_inverse=True)[1]
    keyframe, motion = (_stream(rng, labels, groups, length) for length in (KEYFRAME, MOTION))

    def keyframes_of(rows: np.ndarray) -> list[shards.Record]:
        return _records({"embedding": keyframe.features(rows, 1)})

    def embeddings_of(rows: np.ndarray) -> list[shards.Record]:
        logits = motion.signal[rows] @ motion.centres.T / NOISE
        frames = np.full(len(rows), 180)
        return _records({"embedding": motion.features(rows, VIEWS), "logits": logits, "frames": frames})

    of_keyframes = _ENCODER | {"frames": 1}
    _write_store(features / "keyframes", "keyframes", of_keyframes, _fingerprints(clips, of_keyframes), keyframes_of)
    fingerprints = _fingerprints(clips, _MOTION)
    fitted = digest_of_fitted({clip.id: clip for clip in clips}, splits, fingerprints)
    of_net = {"motion": _MOTION, "model": "made up", "data": fitted, "views": ["plain", "flip", "shift"]}
    _write_store(features / "motion", "motion", _MOTION, fingerprints, _fields_of)
    _write_store(features / "motion_embeddings", "motion_embeddings", of_net, fingerprints, embeddings_of)
    write_json(folder / "metrics/motion.json", {"clips": count})
    write_csv(folder / "plots/motion_training.csv", [{"epoch": 0, "train_loss": 1.0, "val_loss": 1.0}])
    unit = keyframe.centres / np.linalg.norm(keyframe.centres, axis=1, keepdims=True)
    prompts = {"classes": np.array(class_names(clips)), "embedding": unit @ keyframe.rotation.T}
    prompts["logit_scale"] = np.array(100.0, dtype=np.float32)
    table_file.write_table(features / "prompts.h5", "prompts", prompts, _ENCODER)


def _write_store(
    folder: Path,
    kind: str,
    settings: shards.Settings,
    fingerprints: Mapping[str, str],
    records_of: Callable[[np.ndarray], list[shards.Record]],
) -> None:
    """Write a store; records_of returns the records of some clips, for their rows in order of id."""
    rows = {clip_id: row for row, clip_id in enumerate(sorted(fingerprints))}
    with stores.updating(folder, kind, len(rows)):
        for path, ids in layout.ids_by_path(folder, kind, rows).items():
            found = records_of(np.array([rows[clip_id] for clip_id in ids], dtype=np.int64))
            records = dict(zip(ids, found, strict=True))
            of_ids = {clip_id: fingerprints[clip_id] for clip_id in ids}
            shards.write_shard(path, kind, settings, shards.Shard(records, {}, of_ids, _COST))


def _records(columns: Mapping[str, np.ndarray]) -> list[shards.Record]:
    """Return the records of clips from arrays [N, ...] by name."""
    parts = zip(*columns.values(), strict=True)
    return [shards.Record(dict(zip(columns, map(np.asarray, part), strict=True))) for part in parts]


def _fields_of(rows: np.ndarray) -> list[shards.Record]:
    """Return motion of one frame with one cell, of frames of 20 sizes."""
    arrays = {"vectors": np.zeros((1, 1, 1, 2), np.int8), "kind": np.zeros(1, np.uint8), "time": np.zeros(1)}
    return [shards.Record(arrays, {"height": 240, "width": 320 + 16 * (row * 7 % 20)}) for row in rows.tolist()]


def put_params(folder: Path) -> None:
    """Write the params.yaml of the project into a folder, with its clips in class folders in `clips`.

    The settings of the head are those of configs/ucf101.yaml, whose batches are large.
    """
    settings, of_head = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in ("params.yaml", "configs/ucf101.yaml")
    )
    settings["head"] = of_head["head"]
    settings["dataset"] |= {"root": "clips", "files": "clips", "lists": params.NO_PATH, "group": r"(g\d+)_c\d+"}
    settings["dataset"] |= {"test": 0.2, "val": 0.125}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def clips_of(count: int, classes: int | None = None) -> list[Clip]:
    """Return the clips, in order of id, each class with up to 25 groups.

    classes: their number; by default 101, of more than 50,000 clips up to 400.
    """
    classes = classes or min(400, max(101, count // 500))
    clips = []
    for number in range(count):
        index, in_class = number % classes, number // classes
        label, group = f"Class{index:0{len(str(classes - 1))}d}", f"g{in_class % GROUPS:02d}"
        path = f"{label}/{group}_c{in_class // GROUPS:03d}.avi"
        digest = hashlib.sha256(path.encode()).hexdigest()
        clips.append(Clip(id_of(path), path, label, (index,), group, len(path), digest))
    return sorted(clips, key=lambda clip: clip.id)


def _write_files(root: Path, clips: list[Clip]) -> None:
    """Write the files of the clips, for the stage index: each contains its path, because no stage decodes it."""
    for clip in clips:
        path = root / clip.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip.path.encode())


def _fingerprints(clips: list[Clip], settings: shards.Settings) -> dict[str, str]:
    return {clip.id: shards.fingerprint(clip.content, settings) for clip in clips}


def _stream(rng: np.random.Generator, labels: np.ndarray, groups: np.ndarray, length: int) -> _Stream:
    classes, group_count = labels.max() + 1, groups.max() + 1
    centres = rng.standard_normal((classes, LATENT), dtype=np.float32)
    offsets = GROUP_NOISE * rng.standard_normal((group_count, LATENT), dtype=np.float32)
    signal = centres[labels] + offsets[groups]
    signal += NOISE * rng.standard_normal(signal.shape, dtype=np.float32)
    rotation = np.linalg.qr(rng.standard_normal((length, LATENT)))[0].astype(np.float32)
    return _Stream(signal, rotation, centres)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--classes", type=int)
    arguments = parser.parse_args()
    write_project(arguments.folder, arguments.clips, arguments.classes)
