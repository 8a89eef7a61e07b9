"""Train the motion network on the train clips.

Reads features/motion/, features/clips.csv, features/splits.csv; writes models/motion/, metrics/motion.json and
plots/motion_training.csv. The epoch is chosen on the validation clips.
"""

from dataclasses import asdict

import torch

from mocliplite import checkpoint, dataset, fields, files, fit, nets, params, store
from mocliplite.device import device
from mocliplite.errors import run
from mocliplite.splits import read_splits


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    net_settings = settings.motion_net
    clips = {clip.id: clip for clip in dataset.read_clips("features/clips.csv")}
    classes = dataset.class_names(list(clips.values()))
    splits = read_splits("features/splits.csv")
    motion = store.open_store("features/motion")

    # Test clips are not even read.
    ids = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    sampled = torch.from_numpy(fields.load_fields(motion, ids, fit.field_shape(net_settings))).to(where)
    labels = torch.tensor([clips[clip_id].index for clip_id in ids], device=where)
    train, val = (
        torch.tensor([row for row, clip_id in enumerate(ids) if splits[clip_id] == part], device=where)
        for part in ("train", "val")
    )
    net, curve, epoch = fit.fit_motion(sampled, labels, train, val, len(classes), net_settings)

    cost = nets.cost(net, fit.plain(sampled[:1]))
    config = {"net": asdict(net_settings), "motion": motion.settings, "classes": classes, "cost": cost}
    tensors = {name: value.cpu().numpy() for name, value in net.state_dict().items()}
    checkpoint.save("models/motion", tensors, config)
    files.write_csv("plots/motion_training.csv", [{"epoch": row, **values} for row, values in enumerate(curve)])
    metrics = {"epoch": epoch, "train": len(train), "val": {"clips": len(val), **curve[epoch]}}
    files.write_json("metrics/motion.json", files.rounded(metrics))


if __name__ == "__main__":
    run(main)
