"""Train motion_histogram many times on the same clips: what does not depend on the fold is computed once.

The network is trained as by `fit_motion`, but on AUGMENTED random views of each clip instead of new ones in each epoch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mocliplite import params
from mocliplite.motion_net import augmentation, networks, sampling, training
from mocliplite.motion_net.loader import ClipSample, MotionClips
from mocliplite.motion_net.optimiser import build_optimiser
from mocliplite.motion_net.training_state import TrainingState, copy_state_dict
from mocliplite.runtime.progress import progress
from mocliplite.store import stores

AUGMENTED = 48


class FieldsInMemory(MotionClips):
    """All fields of some clips, resampled once: the same input as from the store, without reading it in each epoch."""

    def __init__(self, store: stores.Store, ids: Sequence[str], settings: params.MotionNet) -> None:
        super().__init__(store, ids, settings)
        self.fields: dict[str, Tensor] = {}
        for clip_id, record in store.records(self.ids):
            kind = record.arrays["kind"]
            # So many even positions include every frame with vectors.
            frames = np.unique(sampling.frames_at(kind, sampling.even_positions(len(kind))))
            vectors = record.arrays["vectors"][frames]
            fields = sampling.sample_fields(vectors, store.sizes[clip_id], self.grid, self.remove_global_motion)
            self.fields[clip_id] = torch.from_numpy(fields)

    def __getitem__(self, sample: ClipSample) -> tuple[Tensor, int]:
        fields = self.fields[self.ids[sample.row]]
        rows = np.minimum((sample.positions * len(fields)).astype(np.int64), len(fields) - 1)
        return fields[torch.from_numpy(rows)], sample.row


class Histograms(NamedTuple):
    """The input of motion_histogram behind its part without parameters, for all clips."""

    augmented: Tensor  # float16 [N, AUGMENTED, ...]
    views: Tensor  # float32 [N, K, ...], plain first


def histograms(fields: FieldsInMemory, settings: params.MotionNet, classes: int) -> Histograms:
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
    """Train as fit_motion does, but on precomputed views; return the network of the best epoch, and that epoch."""
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
                lambda histograms: net.classify(net.dropout(net.embed_histogram(histograms))),
                optimiser,
                (inputs, labels[rows]),
                settings,
                fraction_done,
            )
        net.eval()
        with torch.inference_mode():
            logits = net.classify(net.embed_histogram(data.views[val, 0]))
        state.finish_epoch({"val_loss": torch.nn.functional.cross_entropy(logits, labels[val]).item()})
    net.load_state_dict(state.best)
    return net.eval(), state.best_epoch
