"""Train motion_histogram many times on the same clips: what does not depend on the fold is computed once.

The network is trained as by `fit_motion`, but on AUGMENTED random views of each clip instead of new ones in each epoch.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mocliplite import params
from mocliplite.motion_net import augmentation, networks, sampling, training
from mocliplite.motion_net.field_cache import CachedClips
from mocliplite.motion_net.loader import ClipSample, MotionClips
from mocliplite.motion_net.optimiser import build_optimiser
from mocliplite.motion_net.training_state import TrainingState, copy_state_dict
from mocliplite.runtime.progress import progress

AUGMENTED = 48


class Histograms(NamedTuple):
    """The input of motion_histogram behind its part without parameters, for all clips."""

    augmented: Tensor  # float16 [N, AUGMENTED, ...]
    views: Tensor  # float32 [N, K, ...], plain first


def histograms(fields: MotionClips | CachedClips, settings: params.MotionNet, classes: int) -> Histograms:
    """Compute the histograms of AUGMENTED random views of each clip for training, and those of settings.views."""
    net, generator = networks.MotionHistogram(settings, classes), np.random.default_rng(settings.seed)
    torch_generator = torch.Generator().manual_seed(settings.seed)
    augmented, views = [], []
    with progress("views", len(fields), "clip") as bar:
        for row in range(len(fields)):
            samples = [ClipSample(row, sampling.random_positions(settings, generator)) for _ in range(AUGMENTED)]
            random = torch.stack([fields[sample][0] for sample in samples])
            augmented.append(net.histogram(augmentation.augment(random, settings, torch_generator)).half())
            plain = []
            for view in settings.views:
                sample = ClipSample(row, sampling.view_positions(settings, view))
                plain += augmentation.view_inputs(fields[sample][0][None], settings, view)
            views.append(net.histogram(torch.cat(plain)))
            bar.update()
    return Histograms(torch.stack(augmented), torch.stack(views))


def fit_histogram(
    data: Histograms, labels: Tensor, train: np.ndarray, val: np.ndarray, settings: params.MotionNet
) -> tuple[networks.MotionHistogram, int]:
    """Train as fit_motion does, but on precomputed views; return the network, and its epoch."""
    torch.manual_seed(settings.seed)
    net, generator = networks.MotionHistogram(settings, int(labels.max()) + 1), np.random.default_rng(settings.seed)
    optimiser, steps = build_optimiser(net, settings), max(1, len(train) // settings.batch)
    state = TrainingState(net, optimiser, copy_state_dict(net))
    while state.epoch < settings.epochs:
        net.train()
        for step, rows in enumerate(np.array_split(generator.permutation(train), steps)):
            inputs = data.augmented[rows, generator.integers(data.augmented.shape[1], size=len(rows))].float()
            fraction_done = (state.epoch + step / steps) / settings.epochs
            training.train_step(
                net,
                net.embed_histogram,
                optimiser,
                (inputs, labels[rows]),
                settings,
                fraction_done,
            )
        net.eval()
        with torch.inference_mode():
            logits = net.classify(net.embed_histogram(data.views[val, 0]))
        state.finish_epoch({"val_loss": torch.nn.functional.cross_entropy(logits, labels[val]).item()})
    _, epoch = training.kept_network(state, settings)
    return net, epoch
