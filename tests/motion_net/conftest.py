"""Fixtures for tests of training: a motion store, and a function that trains on it."""

import itertools
from dataclasses import replace

import pytest
import torch
from builders import NET
from motion_training import CPU, LABELS, training_data, write_clips

from mocliplite.motion_net import training


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Such small networks gain nothing from more threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def motion(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("motion"))


@pytest.fixture
def train(motion, tmp_path):
    """A function that trains on the clips of motion_training, with a new resume file per call unless one is given."""
    numbers = itertools.count()

    def call(labels=LABELS, resume=None, workers=0, key="key", on_epoch_end=lambda curve: None, **changes):
        settings = replace(NET, **changes)
        data = training_data(motion, settings, labels)
        resume = resume or tmp_path / f"resume{next(numbers)}"
        return training.fit_motion(data, settings, CPU, workers, resume, key, on_epoch_end)

    return call
