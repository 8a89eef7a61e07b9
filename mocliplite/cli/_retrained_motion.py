"""Motion embeddings by a network that was trained on some of the train clips alone."""

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mocliplite import params
from mocliplite.fusion.few_shot import Splits
from mocliplite.motion_net import field_cache, loader, training
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.store import stores


def retrain(settings: params.Params, ids: Sequence[str], device: torch.device) -> Callable[[Splits], Splits]:
    """Return a function that trains a motion network on the train clips of splits, and embeds all their clips with it.

    ids: those of all clips that may be in the splits. The fields are read from features/motion once, and cached in a
    temporary file.
    """
    net_settings, compute = settings.motion_net, settings.compute
    workers = 0 if compute.engine == "inline" else compute.workers
    clips = loader.MotionClips(stores.open_store("features/motion"), ids, net_settings)
    fields = field_cache.cache_fields(clips, Path("models"), workers)
    row_of = {clip_id: row for row, clip_id in enumerate(ids)}

    def with_motion(splits: Splits) -> Splits:
        train, val, test = ([row_of[clip_id] for clip_id in split["ids"].tolist()] for split in splits)
        labels = torch.zeros(len(ids), dtype=torch.int64)
        for rows, split in zip((train, val), splits, strict=False):
            labels[rows] = torch.from_numpy(split["label"])
        data = training.TrainingData(fields, labels, train, val, len(splits[0]["classes"]))
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            net, _, _ = training.fit_motion(data, net_settings, device, workers, Path(folder, "resume"), "few-shot")
        embeddings, logits = embed_clips(net, fields, net_settings, net_settings.views, workers)
        features = {"motion": embeddings, "motion_logits": logits.mean(axis=1)}
        first, second, third = (
            {**split, **{name: values[rows] for name, values in features.items()}}
            for split, rows in zip(splits, (train, val, test), strict=True)
        )
        return first, second, third

    return with_motion
