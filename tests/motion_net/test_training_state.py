"""An interrupted training resumes, and gives the same bytes as one that was not interrupted."""

import os
import signal
import subprocess
import sys

from builders import CHECKOUT, weights
from safetensors import safe_open

from mocliplite.motion_net import training

# Trains as the fixture `train` does, and kills itself after the second epoch.
KILLED_TRAINING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
import torch
from motion_training import CPU, NET, training_data
from mocliplite.motion_net import training, training_state
from mocliplite.store import stores
torch.set_num_threads(1)
save = training_state.save
def save_and_die(state, path, key):
    save(state, path, key)
    if state.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
training_state.save = save_and_die
training.fit_motion(training_data(stores.open_store({folder!r})), NET, CPU, 0, Path({resume!r}), "key")
"""


def test_a_killed_training_resumes_to_the_same_bytes(train, motion, tmp_path):
    resume = tmp_path / "resume"
    code = KILLED_TRAINING.format(tests=str(CHECKOUT / "tests"), folder=str(motion.path), resume=str(resume))
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]

    with safe_open(resume, framework="np") as file:
        assert any(name.startswith("optimiser/") for name in file.keys())  # noqa: SIM118
    (net, *results), (resumed, *same_results) = train(), train(resume=resume)
    assert weights(resumed) == weights(net)
    assert same_results == results


def test_a_finished_training_trains_no_further_epoch(train, tmp_path, monkeypatch):
    resume = tmp_path / "resume"
    (net, *results) = train(resume=resume)
    monkeypatch.setattr(training, "train_epoch", None)
    (again, *same_results) = train(resume=resume)
    assert weights(again) == weights(net)
    assert same_results == results


def test_a_resume_file_with_another_key_is_ignored(train, tmp_path):
    resume = tmp_path / "resume"
    train(resume=resume, key="other", seed=3)
    assert weights(train(resume=resume)[0]) == weights(train()[0])


def test_on_epoch_end_receives_the_curve_after_each_epoch_and_at_the_end(train, tmp_path):
    resume, curves = tmp_path / "resume", []
    _, curve, _ = train(resume=resume, on_epoch_end=lambda curve: curves.append(list(curve)))
    assert curves == [curve[:1], curve[:2], curve[:3], curve, curve]
    curves.clear()
    train(resume=resume, on_epoch_end=lambda curve: curves.append(list(curve)))
    assert curves == [curve]
