"""A small data set on which a motion network learns to tell two directions of motion apart."""

import numpy as np
import torch
from builders import NET, write_motion

from mocliplite.motion_net import networks
from mocliplite.motion_net.loader import MotionClips
from mocliplite.motion_net.training import TrainingData
from mocliplite.store import stores

CPU = torch.device("cpu")
IDS = [f"clip{row:02d}" for row in range(32)]
# The last eight of 32 clips are in neither part, as test clips are.
TRAIN, VAL = range(16), range(16, 24)
LABELS = torch.arange(32) % 2


class MeanNet(networks.Network):
    """A network as a user may add one: the mean motion, and a linear layer."""

    def __init__(self, settings, classes):
        super().__init__()
        self.dropout, self.classify = torch.nn.Dropout(0.0), torch.nn.Linear(3, classes)

    def embed(self, fields):
        return fields.mean(dim=(1, 3, 4))


def write_clips(folder):
    """Write and open a motion store of clips IDS: those of class 1 move down, those of class 0 up."""
    rng = np.random.default_rng(0)
    clips = {
        clip_id: rng.integers(-20, 21, (6, 6, 8, 2)) + np.array([0, 40 * (row % 2) - 20])
        for row, clip_id in enumerate(IDS)
    }
    write_motion(folder, {clip_id: vectors.astype(np.int8) for clip_id, vectors in clips.items()})
    return stores.open_store(folder)


def training_data(motion, settings=NET, labels=LABELS, train=TRAIN):
    return TrainingData(MotionClips(motion, IDS, settings), labels, train, VAL, 2)


def with_wrong_labels(rows):
    """LABELS, but the other class for these rows."""
    labels = LABELS.clone()
    labels[rows] = 1 - labels[rows]
    return labels
