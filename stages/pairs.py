"""Join the embeddings of every clip by id into the one file that heads are fitted on.

Reads features/clips.csv, features/splits.csv, features/keyframes/, features/motion_embeddings/ and
features/prompts.h5; writes features/pairs.h5 and metrics/data.json.
"""

from collections import Counter

import numpy as np

from mocliplite import dataset, files, params, store
from mocliplite.errors import UserError, run
from mocliplite.splits import read_splits


def main() -> None:
    settings = params.load()
    clips = {clip.id: clip for clip in dataset.read_clips("features/clips.csv")}
    splits = read_splits("features/splits.csv")
    keyframes = store.open_store("features/keyframes")
    motion = store.open_store("features/motion_embeddings")
    prompts = store.read_table("features/prompts.h5", "prompts")
    classes = dataset.class_names(list(clips.values()))

    # A clip has a row or a recorded failure. Neither means that the store is older than clips.csv.
    for part in (keyframes, motion):
        unknown = sorted(clips.keys() - set(part.ids) - part.failures.keys())
        if unknown:
            raise UserError(f"{part.path} lacks clip {unknown[0]} ({len(unknown)} in all); run `dvc repro`.")
    if prompts.arrays["classes"].tolist() != classes:
        raise UserError("features/prompts.h5 was made for other classes than features/clips.csv; run `dvc repro`.")

    failed = keyframes.failures | motion.failures
    dataset.check_failed(failed, len(clips), settings.dataset.max_failed, "pairs")
    ids = sorted(clip_id for clip_id in clips if clip_id not in failed and splits[clip_id] != "unused")
    left = {splits[clip_id] for clip_id in ids}
    empty = [split for split in ("train", "val", "test") if split not in left]
    if empty:
        raise UserError(f"no usable clip is left for {empty[0]}; see failures.csv in features/keyframes and motion.")
    arrays = {
        "ids": np.array(ids, dtype=str),
        "label": np.array([clips[clip_id].index for clip_id in ids]),
        "split": np.array([splits[clip_id] for clip_id in ids], dtype=str),
        "group": np.array([clips[clip_id].group for clip_id in ids], dtype=str),
        "keyframe": keyframes.read(ids).mean(axis=1),
        "motion": motion.read(ids),
        "motion_logits": motion.read(ids, "logits"),
        "prompts": prompts.arrays["embedding"],
        "classes": np.array(classes, dtype=str),
        "logit_scale": prompts.arrays["logit_scale"],
    }
    for name in ("keyframe", "motion", "motion_logits"):
        odd = [clip_id for clip_id, row in zip(ids, arrays[name], strict=True) if not np.isfinite(row).all()]
        if odd:
            cause = "lower motion_net.lr, or get the CLIP again"
            raise UserError(f"the {name} features of {odd[0]} ({len(odd)} clips in all) are not finite; {cause}.")
    made_of = {"keyframes": keyframes.settings, "motion_embeddings": motion.settings, "prompts": prompts.settings}
    store.write_table("features/pairs.h5", "pairs", arrays, made_of)

    metrics = {
        "clips": len(clips),
        "usable": len(ids),
        "frames": int(motion.read(motion.ids, "frames").sum()),
        "failures": {"keyframes": len(keyframes.failures), "motion": len(motion.failures)},
        "splits": dict(Counter(splits.values())),
    }
    files.write_json("metrics/data.json", metrics)


if __name__ == "__main__":
    run(main)
