"""Feature stores of any number of clips that are no videos, to measure the stages after extraction.

`python -m benchmarks.made_up FOLDER --clips 240000` writes params.yaml, clips/ and features/ into a folder, as the
stages index, split, keyframes, prompts and embed_motion would write them; `python -m stages.pairs`, run in the folder,
and the stages after it accept them. The lengths are those of CLIP's keyframes and of the default motion network.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mocliplite import params
from mocliplite.data.clips import Clip, class_names, id_of, write_clips
from mocliplite.data.splits import digest_of_fitted, split_clips, write_splits
from mocliplite.store import shards, stores, table_file

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
    rotation: np.ndarray
    centres: np.ndarray  # [C, LATENT]

    def features(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Features float32 of some clips."""
        noise = 0.02 * rng.standard_normal((len(rows), len(self.rotation)), dtype=np.float32)
        return self.signal[rows] @ self.rotation.T + noise


def write_project(folder: Path, count: int) -> None:
    """Write params.yaml and the inputs of the stage pairs for `count` clips into a folder."""
    put_params(folder)
    settings = params.load(folder / "params.yaml").dataset
    clips = clips_of(count)
    splits = split_clips(clips, settings)
    features = folder / "features"
    _write_files(folder / settings.root, clips)
    write_clips(features / "clips.csv", clips)
    write_splits(features / "splits.csv", splits)

    rng = np.random.default_rng(0)
    classes = class_names(clips)
    labels = np.array([clip.index for clip in clips])
    groups = np.unique([f"{clip.label}/{clip.group}" for clip in clips], return_inverse=True)[1]
    keyframe, motion = (_stream(rng, labels, groups, length) for length in (KEYFRAME, MOTION))
    rows = {clip.id: row for row, clip in enumerate(clips)}
    data = digest_of_fitted({clip.id: clip for clip in clips}, splits, _fingerprints(clips, _MOTION))

    def keyframes_of(ids: list[str]) -> dict[str, shards.Record]:
        wanted = np.array([rows[clip_id] for clip_id in ids])
        values = keyframe.features(wanted, np.random.default_rng(wanted))
        return {clip_id: shards.Record({"embedding": row[None]}) for clip_id, row in zip(ids, values, strict=True)}

    def embeddings_of(ids: list[str]) -> dict[str, shards.Record]:
        wanted = np.array([rows[clip_id] for clip_id in ids])
        generator = np.random.default_rng(wanted)
        views = np.stack([motion.features(wanted, generator) for _ in range(VIEWS)], axis=1)
        logits = motion.signal[wanted] @ motion.centres.T / NOISE
        return {
            clip_id: shards.Record({"embedding": view, "logits": row, "frames": np.array(180)})
            for clip_id, view, row in zip(ids, views, logits, strict=True)
        }

    of_net = {"motion": _MOTION, "model": "made up", "data": data, "views": ["plain", "flip", "shift"]}
    made = (
        ("keyframes", _ENCODER | {"frames": 1}, _fingerprints(clips, _ENCODER | {"frames": 1}), keyframes_of),
        ("motion_embeddings", of_net, _fingerprints(clips, _MOTION), embeddings_of),
    )
    for kind, store_settings, fingerprints, compute in made:
        with stores.updating(features / kind, kind):
            for number, ids in enumerate(stores.by_shard(fingerprints, kind)):
                shard, of_shard = stores.shard_path(features / kind, number), {key: fingerprints[key] for key in ids}
                shards.update_shard(shard, kind, store_settings, of_shard, compute, provenance=_COST)
    prompts = {"classes": np.array(classes), "embedding": _unit(keyframe.centres @ keyframe.rotation.T)}
    prompts["logit_scale"] = np.array(100.0, dtype=np.float32)
    table_file.write_table(features / "prompts.h5", "prompts", prompts, _ENCODER)


def put_params(folder: Path) -> None:
    """Write the params.yaml of the project into a folder, with its clips in class folders in `clips`."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["dataset"] |= {"root": "clips", "files": "clips", "lists": params.NO_PATH, "group": r"(g\d+)_c\d+"}
    settings["dataset"] |= {"test": 0.2, "val": 0.125}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def clips_of(count: int) -> list[Clip]:
    """Return the clips, in order of id: 101 classes, of more than 50,000 clips up to 400, each with up to 25 groups."""
    classes = min(400, max(101, count // 500))
    clips = []
    for number in range(count):
        index, in_class = number % classes, number // classes
        path = f"Class{index:03d}/g{in_class % GROUPS:02d}_c{in_class // GROUPS:03d}.avi"
        digest = hashlib.sha256(path.encode()).hexdigest()
        group = f"g{in_class % GROUPS:02d}"
        clips.append(Clip(id_of(path), path, f"Class{index:03d}", (index,), group, len(path), digest))
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


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, required=True)
    arguments = parser.parse_args()
    write_project(arguments.folder, arguments.clips)
