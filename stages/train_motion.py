"""Train the motion network on the train clips.

Reads features/motion/, features/clips.csv, features/splits.csv; writes models/motion/, metrics/motion.json and
plots/motion_training.csv. The epoch is chosen on the validation clips. A run that was ended goes on after its last
whole epoch, which is kept in a file beside models/motion/ until the end.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from mocliplite import checkpoint, files, params, versions
from mocliplite.data.clips import class_names, read_clips
from mocliplite.data.splits import read_splits
from mocliplite.errors import UserError, run
from mocliplite.motion_net import augmentation, loader, networks, training
from mocliplite.runtime.device import device
from mocliplite.store import stores

# Not within models/motion, which DVC deletes before the stage starts.
RESUME = Path("models/.motion.resume")


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    net_settings = settings.motion_net
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    classes = class_names(list(clips.values()))
    splits = read_splits("features/splits.csv")
    motion = stores.open_store("features/motion")

    # Test clips are not even read.
    ids = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    train, val = ([row for row, clip_id in enumerate(ids) if splits[clip_id] == part] for part in ("train", "val"))
    if len(train) < 2 or not val:
        raise UserError("fewer than 2 train clips or no validation clip is left; see features/motion/failures.csv.")
    labels = torch.tensor([clips[clip_id].index for clip_id in ids])
    seen = loader.MotionClips(motion, ids, net_settings)
    task = training.Task(seen, labels, train, val, len(classes))
    net_config = {key: value for key, value in asdict(net_settings).items() if key != "views"}
    sources = [(key, motion.fingerprints[key], splits[key], clips[key].index) for key in ids]
    key = _key([versions.MOTION_NET, where.type, net_config, classes, sources])
    workers = settings.compute.workers if settings.compute.engine == "processes" else 0
    net, curve, epoch = training.fit_motion(task, net_settings, where, workers, RESUME, key, _show_curve)

    example = torch.zeros(1, net_settings.frames, 3, net_settings.rows, net_settings.cols, device=where)
    shown = list(augmentation.view_inputs(example, net_settings))
    cost = networks.cost(net, shown[0])
    cost["macs"] *= len(shown)
    provenance = {"version": versions.MOTION_NET, "net": net_config, "motion": motion.settings, "classes": classes}
    tensors = {name: value.cpu().numpy() for name, value in net.state_dict().items()}
    checkpoint.save("models/motion", tensors, provenance | {"cost": cost})
    metrics = {"epoch": epoch, "train": len(train), "val": {"clips": len(val), **curve[epoch]}}
    files.write_json("metrics/motion.json", files.rounded(metrics))
    RESUME.unlink(missing_ok=True)


def _show_curve(curve: training.Curve) -> None:
    """Write it anew after each epoch, for `dvc plots show` in the meantime: a training may take hours."""
    files.write_csv("plots/motion_training.csv", [{"epoch": row, **values} for row, values in enumerate(curve)])


def _key(cache_key: object) -> str:
    """What a resumed training must have in common with the interrupted one: data, settings and code version."""
    return hashlib.sha256(json.dumps(cache_key, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(main)
