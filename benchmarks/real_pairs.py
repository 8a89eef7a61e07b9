"""Pairs files of real footage for each fold of a data set, as the pipeline writes them to features/pairs.h5.

Run `python -m benchmarks.real_pairs --work FOLDER`. It extracts the motion fields with the stages index and motion,
embeds keyframes with EfficientNet-Lite0, trains the motion network of each fold on its train clips with the settings of
configs/folder.yaml, and writes FOLDER/DATA_SET/foldK/F1/pairs.h5 with one keyframe per clip, and F3 and F8 with the
mean of several. The random views for training are computed once for all folds. With --reencoded, the vectors are those
of the clips re-encoded as MPEG-4 with an I-frame in every 12 frames, in FOLDER/DATA_SET/reencoded, so that they say
nothing about the settings of the original encoder.

There is no text encoder, so the pairs have no embeddings of the classes, and no method is zero-shot. What exists is
not computed again.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks import efficientnet_lite, real_motion
from mocliplite import files, params, versions
from mocliplite.data.clips import Clip, class_names, read_clips
from mocliplite.data.groups import group_of
from mocliplite.data.splits import Split, even_folds, split_validation
from mocliplite.evaluation.metrics import within_top
from mocliplite.fusion import similarity
from mocliplite.fusion.pairs import keyframe_views
from mocliplite.motion_net import arithmetic, networks
from mocliplite.motion_net.field_cache import cache_fields
from mocliplite.motion_net.loader import MotionClips
from mocliplite.runtime.progress import progress
from mocliplite.store import stores, table_file
from mocliplite.video.keyframes import read_keyframes

ROOT = Path(__file__).parents[1]
FRAMES = (1, 3, 8)  # keyframes per clip
REENCODE = {"codec": "mpeg4", "gop": 12, "bframes": 0, "size": None}


@dataclass(frozen=True)
class DataSet:
    """How the clips of a data set are grouped and split; each fold is the test part once."""

    group: str
    shared_groups: bool  # whether a group has clips of several classes
    folds: int
    val: float  # share of the train clips, in whole groups


DATA_SETS = {
    "ucf101_six": DataSet(r"_(g\d+)_c\d+", shared_groups=False, folds=6, val=0.1667),
    "ut_interaction": DataSet(r"_(\d+)_\d\.avi$", shared_groups=True, folds=5, val=0.1667),
}


def main() -> None:
    arguments = parser("benchmarks.real_pairs", __doc__)
    arguments.add_argument("--reencoded", action="store_true", help="vectors of the clips re-encoded as MPEG-4")
    given = arguments.parse_args()
    for name in given.data_sets:
        prepare(given.root / name, given.work / name, name, given.reencoded, given.processes, given.epochs)


def prepare(
    root: Path, work: Path, name: str, reencoded: bool = False, processes: int = 1, epochs: int | None = None
) -> list[Path]:
    """Write the pairs files of all folds of a data set; return the folders of the folds.

    reencoded: whether the vectors are those of the re-encoded clips. epochs: instead of those in configs/folder.yaml.
    """
    torch.set_num_threads(1)
    start = time.perf_counter()
    folder = work / "reencoded" if reencoded else work
    extract(folder, root, DATA_SETS[name], reencoded, epochs)
    settings, clips = _settings(folder), read_clips(folder / "features/clips.csv")
    keyframes = {count: _keyframes(work, clips, settings, count) for count in FRAMES}
    folds = range(1, DATA_SETS[name].folds + 1)
    motion = _motion(folder, clips, settings, folds, processes)
    for fold in folds:
        for count in FRAMES:
            path = folder / f"fold{fold}/F{count}/pairs.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_pairs(path, clips, replace(settings.dataset, split=fold), keyframes[count], motion[fold])
    print(f"{folder}: {len(clips)} clips, {len(folds)} folds, {time.perf_counter() - start:.0f} s")
    return [folder / f"fold{fold}" for fold in folds]


def extract(folder: Path, root: Path, data_set: DataSet, reencoded: bool, epochs: int | None) -> None:
    """Write params.yaml, features/clips.csv and features/motion, with the stages index and motion."""
    if not root.is_dir():
        sys.exit(f"{root} does not exist; put the clips there, one folder per class, or set --root.")
    text = yaml.safe_load((ROOT / "configs/folder.yaml").read_text(encoding="utf-8"))
    text["dataset"] |= dict.fromkeys(("root", "files"), str(root.resolve()))
    text["dataset"] |= {"group": data_set.group, "shared_groups": data_set.shared_groups}
    text["dataset"] |= {"folds": data_set.folds, "val": data_set.val}
    text["motion"] |= {"reencode": REENCODE if reencoded else None}
    if epochs is not None:
        text["motion_net"]["epochs"] = epochs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for stage in ("index", "motion"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=environment, check=True)


def _settings(folder: Path) -> params.Params:
    return params.load(folder / "params.yaml")


# Keyframes


def _keyframes(work: Path, clips: Sequence[Clip], settings: params.Params, count: int) -> dict[str, Any]:
    """Embeddings float32 [N, count, D] of the centre frames of `count` equal segments of each clip, and their cost."""
    key = {"weights": efficientnet_lite.digest(), "frames": count, "version": versions.KEYFRAMES}
    path = work / f"keyframes_{count}.npz"
    stored = _read_cache(path, key | {"clips": _digest(clips)})
    if stored is None:
        net, rows = efficientnet_lite.load(), []
        with progress(f"{count} keyframes", len(clips), "clip") as bar:
            for clip in clips:
                found = read_keyframes(f"{settings.dataset.root}/{clip.path}", count, "middle")
                rows.append(efficientnet_lite.embed(net, [frame.image for frame in found]))
                bar.update()
        cost = networks.cost(net, torch.zeros(1, 3, efficientnet_lite.SIZE, efficientnet_lite.SIZE))
        stored = {"embedding": np.stack(rows), "cost": np.array([cost["parameters"], cost["macs"]])}
        _write_cache(path, key | {"clips": _digest(clips)}, stored)
    cost = dict(zip(("parameters", "macs"), stored["cost"].tolist(), strict=True))
    return {"embedding": stored["embedding"], "cost": cost, "settings": key}


# Motion networks


def _motion(
    folder: Path, clips: Sequence[Clip], settings: params.Params, folds: Sequence[int], processes: int
) -> dict[int, dict[str, Any]]:
    """For each fold the embeddings float32 [N, K, D] and logits [N, C] of its motion network, and its cost."""
    store = stores.open_store(folder / "features/motion")
    key = {
        "net": asdict(settings.motion_net),
        "augmented": real_motion.AUGMENTED,
        "version": versions.MOTION_NET,
        "motion": store.settings,
    }
    key |= {"clips": _digest(clips), "dataset": asdict(settings.dataset)}
    results = {fold: _read_cache(folder / f"fold{fold}/motion.npz", key) for fold in folds}
    missing = [fold for fold, stored in results.items() if stored is None]
    if missing:
        stored = MotionClips(store, [clip.id for clip in clips], settings.motion_net)
        fields = cache_fields(stored, folder, workers=0)
        data = real_motion.histograms(fields, settings.motion_net, len(class_names(clips)))
        # Forked processes share the memory of the histograms.
        pool = multiprocessing.get_context("fork").Pool(processes, _share, (data, clips, settings))
        with pool, progress("motion networks", len(missing), "fold") as bar:
            for fold, arrays in zip(missing, pool.imap(_train, missing), strict=True):
                _write_cache(folder / f"fold{fold}/motion.npz", key, arrays)
                results[fold] = arrays
                bar.update()
    labels = np.array([clip.index for clip in clips])
    for fold, stored in results.items():
        split = _split(clips, replace(settings.dataset, split=fold))
        parts = np.array([split[clip.id] for clip in clips])
        right = within_top(stored["logits"], labels, 1)
        print(
            f"fold {fold}:",
            *(f"{part} {(parts == part).sum()} clips, top-1 {right[parts == part].mean():.3f}" for part in _PARTS),
        )
    return {
        fold: stored
        | {
            "cost": dict(zip(("parameters", "macs"), stored["cost"].tolist(), strict=True)),
            "settings": {"motion": store.settings, "model": _digest_of(key | {"fold": fold})},
        }
        for fold, stored in results.items()
    }


_PARTS = ("train", "val", "test")
_SHARED: dict[str, tuple[real_motion.Histograms, Sequence[Clip], params.Params]] = {}


def _share(data: real_motion.Histograms, clips: Sequence[Clip], settings: params.Params) -> None:
    torch.set_num_threads(1)
    # With two threads in each process, a step takes many times as long where processes share the cores.
    arithmetic.THREADS = 1
    _SHARED["all"] = data, clips, settings


def _train(fold: int) -> dict[str, np.ndarray]:
    """Train the motion network of a fold, and embed all clips."""
    data, clips, settings = _SHARED["all"]
    split = _split(clips, replace(settings.dataset, split=fold))
    train, val = (np.flatnonzero([split[clip.id] == part for clip in clips]) for part in ("train", "val"))
    labels = torch.tensor([clip.index for clip in clips])
    net, epoch = real_motion.fit_histogram(data, labels, train, val, settings.motion_net)
    with torch.inference_mode():
        embedding = net.embed_histogram(data.views.flatten(0, 1)).unflatten(0, data.views.shape[:2])
        logits = net.classify(embedding).mean(dim=1)
    shape = (1, settings.motion_net.frames, 3, settings.motion_net.rows, settings.motion_net.cols)
    cost = networks.cost(net, torch.zeros(shape))
    return {
        "embedding": embedding.numpy(),
        "logits": logits.numpy(),
        "cost": np.array([cost["parameters"], cost["macs"]]),
        "epoch": np.array(epoch),
    }


# Pairs


def _split(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """The split of a fold: these data sets do not grow, so their folds are the most even ones."""
    test = even_folds(clips, settings, settings.folds or 1)[settings.split - 1]
    splits: dict[str, Split] = {clip.id: "test" if clip.id in test else "train" for clip in clips}
    return split_validation(clips, splits, settings)


def _write_pairs(
    path: Path, clips: Sequence[Clip], settings: params.Dataset, keyframes: dict[str, Any], motion: dict[str, Any]
) -> None:
    split, classes = _split(clips, settings), class_names(clips)
    arrays = {
        "ids": np.array([clip.id for clip in clips], dtype=str),
        "label": np.array([clip.index for clip in clips]),
        "split": np.array([split[clip.id] for clip in clips], dtype=str),
        "group": np.array([group_of(clip, settings) for clip in clips], dtype=str),
        "keyframe": keyframe_views(keyframes["embedding"]),
        "motion": motion["embedding"],
        "motion_logits": motion["logits"],
        "classes": np.array(classes, dtype=str),
    }
    _, arrays["similarity"] = similarity.nearest_train_clips(arrays)
    made_with = {"keyframes": keyframes["settings"], "motion_embeddings": motion["settings"], "prompts": {}}
    provenance = {"cost": {"encoder": keyframes["cost"], "motion": motion["cost"]}}
    table_file.write_table(path, "pairs", arrays, made_with, provenance)


# Cached arrays, with the settings that decided them


def _digest(clips: Sequence[Clip]) -> str:
    return _digest_of([(clip.id, clip.sha256) for clip in clips])


def _digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _read_cache(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    with np.load(path) as file:
        arrays = dict(file)
    return arrays if str(arrays.pop("key")) == _digest_of(key) else None


def _write_cache(path: Path, key: dict[str, Any], arrays: dict[str, Any]) -> None:
    with files.atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, key=np.array(_digest_of(key)), **arrays)


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Arguments of this module and of `benchmarks.real`."""
    result = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    result.add_argument("--root", type=Path, default=ROOT.parent / "shared/data", help="folder of the data sets")
    result.add_argument("--work", type=Path, default=ROOT / ".real", help="folder of the stores and pairs")
    result.add_argument("--data-sets", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    result.add_argument("--epochs", type=int, help="epochs of the motion network instead of those in the settings")
    result.add_argument("--processes", type=int, default=2, help="motion networks trained at the same time")
    return result


if __name__ == "__main__":
    main()
