"""Join the features of every clip by id into the one file that probes and heads are fitted on.

Reads features/clips.csv, features/splits.csv, features/keyframes/, features/motion_embeddings/ and
features/prompts.h5; writes features/pairs.h5, features/near_duplicates.csv and metrics/data.json.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mocliplite import checkpoint, csv_files, files, params
from mocliplite.csv_files import text_cell
from mocliplite.data.clips import Clip, class_names, read_clips
from mocliplite.data.groups import group_of
from mocliplite.data.label_array import label_array
from mocliplite.data.splits import Split, digest_of_fitted, read_splits
from mocliplite.errors import UserError
from mocliplite.fusion import similarity
from mocliplite.fusion.pairs import Arrays, check, digest_of_clips, keyframe_views
from mocliplite.store import failures, shards, stores, table_file

from . import run_stage


def main() -> None:
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    splits = read_splits("features/splits.csv")
    keyframes = stores.open_store("features/keyframes")
    motion = stores.open_store("features/motion_embeddings")
    prompts = table_file.read_table("features/prompts.h5", "prompts")
    classes = class_names(list(clips.values()))
    _check_sources(clips, splits, classes, keyframes, motion, prompts)

    failed = keyframes.failures | motion.failures
    failures.check_failed(failed, len(clips), settings.dataset.max_failed, "pairs")
    ids = sorted(clip_id for clip_id in clips if clip_id not in failed and splits[clip_id] != "unused")
    arrays = {
        "ids": np.array(ids, dtype=str),
        "label": label_array([clips[clip_id] for clip_id in ids], settings.dataset.multi_label, len(classes)),
        "split": np.array([splits[clip_id] for clip_id in ids], dtype=str),
        "group": np.array([group_of(clips[clip_id], settings.dataset) for clip_id in ids], dtype=str),
        "keyframe": keyframe_views(keyframes.read(ids)),
        "motion": motion.read(ids),
        "motion_logits": motion.read(ids, "logits"),
        "classes": np.array(classes, dtype=str),
    }
    if "embedding" in prompts.arrays:
        arrays |= {"prompts": prompts.arrays["embedding"], "logit_scale": np.asarray(prompts.arrays["logit_scale"])}
    check(arrays)
    nearest, arrays["similarity"] = similarity.nearest_train_clips(arrays)
    made_with = {"keyframes": keyframes.settings, "motion_embeddings": motion.settings, "prompts": prompts.settings}
    provenance = {"cost": {"encoder": keyframes.provenance.get("cost"), "motion": motion.provenance["cost"]}}
    table_file.write_table("features/pairs.h5", "pairs", arrays, made_with, provenance)
    near_duplicates = _write_near_duplicates(arrays, nearest)

    metrics = {
        "clips": len(clips),
        "clip_set": digest_of_clips(sorted(clips), [clips[clip_id].indices for clip_id in sorted(clips)], classes),
        "usable": len(ids),
        "frames": int(motion.read(motion.ids, "frames").sum()),
        "failures": {"keyframes": len(keyframes.failures), "motion": len(motion.failures)},
        "splits": dict(Counter(splits.values())),
        "near_duplicates": near_duplicates,
    }
    files.write_json("metrics/data.json", metrics)


def _check_sources(
    clips: Mapping[str, Clip],
    splits: Mapping[str, Split],
    classes: Sequence[str],
    keyframes: stores.Store,
    motion: stores.Store,
    prompts: table_file.Table,
) -> None:
    """Raise UserError unless all features are of these clips, splits and classes, and by one encoder."""
    _check_clips(clips, keyframes, motion)
    if prompts.arrays["classes"].tolist() != classes:
        raise UserError(
            "features/prompts.h5 is out of date: its classes are not those of features/clips.csv; run `dvc repro`."
        )
    encoders = [_encoder_of(store.settings) for store in (keyframes, prompts)]
    other = [name for name in encoders[0] | encoders[1] if encoders[0].get(name) != encoders[1].get(name)]
    if other:
        raise UserError(
            f"features/prompts.h5 and features/keyframes are of different encoders ({other[0]} differs); "
            "run `dvc repro`."
        )
    # The network was fitted and chosen on the clips of these splits.
    fitted = digest_of_fitted(clips, splits, {clip_id: motion.fingerprints[clip_id] for clip_id in motion.ids})
    checkpoint.check_source(motion.path, "features/splits.csv", motion.settings.get("data"), fitted)


def _check_clips(clips: Mapping[str, Clip], keyframes: stores.Store, motion: stores.Store) -> None:
    # Every clip has a row or a recorded failure, made from the file in clips.csv.
    for store, cache_key in ((keyframes, keyframes.settings), (motion, motion.settings["motion"])):
        expected = {clip.id: shards.fingerprint(clip.content, cache_key) for clip in clips.values()}
        outdated = sorted(key for key in expected if store.fingerprints.get(key) != expected[key])
        if outdated:
            raise UserError(
                f"{store.path} is out of date: clip {outdated[0]} is missing or was made from another file "
                f"({len(outdated)} such clips in all); run `dvc repro`."
            )


def _write_near_duplicates(arrays: Arrays, nearest: np.ndarray) -> int:
    """Write the near duplicates of train clips, and return how many there are. nearest: row of the train clip [N]."""
    rows = [
        [text_cell(arrays["ids"][row]), arrays["split"][row], text_cell(arrays["ids"][nearest[row]]), f"{cosine:.4f}"]
        for row, cosine in enumerate(arrays["similarity"])
        if cosine >= similarity.NEAR_DUPLICATE
    ]
    csv_files.write_rows("features/near_duplicates.csv", ["id", "split", "train_clip", "similarity"], rows)
    if rows:
        print(
            f"warning: near duplicates of a train clip among the validation and test clips: {len(rows)}; "
            "see features/near_duplicates.csv"
        )
    return len(rows)


def _encoder_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the settings of keyframes or prompts that identifies the encoder."""
    others = ("frames", "pick", "batch", "dtype", "templates", "names")
    return {name: value for name, value in settings.items() if name not in others}


if __name__ == "__main__":
    run_stage("pairs", main)
