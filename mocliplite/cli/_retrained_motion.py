"""Motion embeddings by a network that was trained on some of the train clips alone."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mocliplite import params
from mocliplite.fusion.few_shot import Splits
from mocliplite.motion_net import loader, training
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.store import stores


def retrain(settings: params.Params, device: torch.device) -> Callable[[Splits], Splits]:
    """Return a function that trains a motion network on the train clips of splits, and embeds all their clips with it.

    As in the pipeline, the validation clips choose the epoch. The fields are read from features/motion.
    """
    net_settings, compute = settings.motion_net, settings.compute
    store = stores.open_store("features/motion")
    workers = compute.workers if compute.engine == "processes" else 0

    def with_motion(splits: Splits) -> Splits:
        ids = np.concatenate([split["ids"] for split in splits]).tolist()
        labels = torch.from_numpy(np.concatenate([split["label"] for split in splits]))
        clips = loader.MotionClips(store, ids, net_settings)
        ends = np.cumsum([len(split["ids"]) for split in splits])
        train, val = range(ends[0]), range(ends[0], ends[1])
        data = training.TrainingData(clips, labels, train, val, len(splits[0]["classes"]))
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            net, _, _ = training.fit_motion(data, net_settings, device, workers, Path(folder, "resume"), "few-shot")
        views = [embed_clips(net, clips, net_settings, view, workers)[0] for view in net_settings.views]
        parts = np.split(np.stack(views, axis=1), ends[:-1])
        first, second, third = ({**split, "motion": part} for split, part in zip(splits, parts, strict=True))
        return first, second, third

    return with_motion
