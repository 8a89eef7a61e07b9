"""Train the motion network on the train clips.

Reads features/motion/, features/clips.csv, features/splits.csv; writes models/motion/, metrics/motion.json and
plots/motion_training.csv. The epoch is chosen on the validation clips. An interrupted run resumes after its last
complete epoch, from a file beside models/motion/ that is removed at the end.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from mocliplite import checkpoint, csv_files, files, params, versions
from mocliplite.data.clips import class_names, read_clips
from mocliplite.data.label_array import label_array
from mocliplite.data.splits import digest_of_fitted, read_splits
from mocliplite.errors import UserError
from mocliplite.motion_net import augmentation, field_cache, footage, loader, networks, training
from mocliplite.motion_net.training_state import Curve
from mocliplite.runtime.device import device
from mocliplite.store import stores

from . import run_stage

# Not within models/motion, which DVC deletes before the stage starts.
RESUME = Path("models/.motion.resume")


def main() -> None:
    settings = params.load()
    torch_device = device(settings.compute)
    net_settings = settings.motion_net
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    classes = class_names(list(clips.values()))
    splits = read_splits("features/splits.csv")
    motion = stores.open_store("features/motion")

    # Test clips are not read at all.
    ids = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    train, val = ([row for row, clip_id in enumerate(ids) if splits[clip_id] == part] for part in ("train", "val"))
    if len(train) < 2 or not val:
        raise UserError("fewer than 2 train clips or no validation clip is left; see features/motion/failures.csv.")
    attributes = motion.attributes([ids[row] for row in train], footage.ATTRIBUTES)
    seen = footage.summary(map(footage.footage_of, attributes))
    workers = 0 if settings.compute.engine == "inline" else settings.compute.workers
    fields = field_cache.cache_fields(loader.MotionClips(motion, ids, net_settings), RESUME.parent, workers)
    multi_label = settings.dataset.multi_label
    labels = torch.from_numpy(label_array([clips[clip_id] for clip_id in ids], multi_label, len(classes)))
    data = training.TrainingData(fields, labels, train, val, len(classes))
    net_config = {key: value for key, value in asdict(net_settings).items() if key != "views"}
    fitted = digest_of_fitted(clips, splits, {clip_id: motion.fingerprints[clip_id] for clip_id in ids})
    made_with = {
        "version": versions.MOTION_NET,
        "net": net_config,
        "motion": motion.settings,
        "classes": classes,
        "data": fitted,
    } | ({"multi_label": True} if multi_label else {})
    key = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
    net, curve, epoch = training.fit_motion(data, net_settings, torch_device, workers, RESUME, key, _write_curve)

    example = torch.zeros(1, net_settings.frames, 3, net_settings.rows, net_settings.cols, device=torch_device)
    inputs = list(augmentation.view_inputs(example, net_settings))
    cost = networks.cost(net, inputs[0])
    cost["macs"] *= len(inputs)
    tensors = {name: value.cpu().numpy() for name, value in net.state_dict().items()}
    checkpoint.save("models/motion", tensors, made_with | {"cost": cost, "footage": seen})
    metrics = {"epoch": epoch, "train": len(train), "val": {"clips": len(val), **curve[epoch]}}
    files.write_json("metrics/motion.json", files.rounded(metrics))
    RESUME.unlink(missing_ok=True)


def _write_curve(curve: Curve) -> None:
    """Rewrite the curve after each epoch: a training may take hours, and `dvc plots show` works in the meantime."""
    csv_files.write_csv("plots/motion_training.csv", [{"epoch": row, **values} for row, values in enumerate(curve)])


if __name__ == "__main__":
    run_stage("train_motion", main)
