"""Train a motion network. The epoch is chosen on validation clips; test clips are not used."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.motion_net import augmentation, networks, sampling, training_state
from mocliplite.motion_net.arithmetic import arithmetic
from mocliplite.motion_net.embedding import embed_motion, embedding_batches
from mocliplite.motion_net.loader import ClipDataset, ClipSample, load_batches
from mocliplite.motion_net.optimiser import build_optimiser, set_learning_rate
from mocliplite.motion_net.training_state import Curve, TrainingState
from mocliplite.params import MotionNet
from mocliplite.runtime.gpu_memory import full_memory_means
from mocliplite.runtime.progress import progress


@dataclass(frozen=True)
class TrainingData:
    """Clips, their classes, and which of them are for training and validation."""

    clips: ClipDataset
    labels: Tensor  # of every row of clips: int64 [N], or uint8 [N, classes] where a clip may have several classes
    train: Sequence[int]  # rows
    val: Sequence[int]  # rows
    classes: int


@full_memory_means("lower motion_net.batch, with which the training is another one")
def fit_motion(
    data: TrainingData,
    settings: MotionNet,
    device: torch.device,
    workers: int,
    resume: Path,
    key: str,
    on_epoch_end: Callable[[Curve], None] = lambda curve: None,
) -> tuple[networks.Network, Curve, int]:
    """Train the motion network; return (network, curve, epoch of the network from 0).

    The network is that of the last epoch or, with settings.patience, of the epoch of the lowest validation loss. After
    each epoch the state of the training is written to the file `resume`. An interrupted training with the same `key`
    continues from that file and gives the same bytes: the random numbers of an epoch depend on settings.seed and the
    epoch's number alone. `on_epoch_end` receives the curve after each epoch, and once more at the end.
    """
    torch.use_deterministic_algorithms(True)
    # Every tensor is written before it is read. Filling new memory first takes a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    state = _initial_state(data, settings, device)
    training_state.resume(state, resume, key)
    batches = load_batches(data.clips, _remaining_batches(data, settings, state.epoch), workers)
    with progress("train_motion", settings.epochs, "epoch") as bar:
        bar.update(state.epoch)
        while state.epoch < settings.epochs and not _is_out_of_patience(state, settings):
            train_loss = train_epoch(data, settings, state, batches)
            val_loss, val_top1 = _validate(data, settings, state.net, batches)
            state.finish_epoch({"train_loss": train_loss, "val_loss": val_loss, "val_top1": val_top1})
            training_state.save(state, resume, key)
            on_epoch_end(state.curve)
            bar.update()
        bar.total = state.epoch  # below settings.epochs after early stopping
    on_epoch_end(state.curve)  # a training that was interrupted after its last epoch has not reported it yet
    net, epoch = kept_network(state, settings)
    return net, state.curve, epoch


def kept_network(state: TrainingState, settings: MotionNet) -> tuple[networks.Network, int]:
    """Return the network of a finished training and its epoch from 0: the last or, with settings.patience, the best."""
    if settings.patience is None:
        return state.net.eval(), state.epoch - 1
    state.net.load_state_dict(state.best)
    return state.net.eval(), state.best_epoch


def train_epoch(
    data: TrainingData, settings: MotionNet, state: TrainingState, batches: Iterator[tuple[Tensor, Tensor]]
) -> float:
    """Train on all train clips once; return their mean loss."""
    # Dropout and augmentation are seeded by the epoch's number, so that no generator state has to be saved.
    seed = int(np.random.default_rng([settings.seed, state.epoch]).integers(2**62))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = state.net.train()
    device = next(net.parameters()).device
    steps = _steps_per_epoch(data, settings)
    loss = 0.0
    for step in range(state.epoch * steps, (state.epoch + 1) * steps):
        fields, rows = next(batches)
        batch = augmentation.augment(fields.to(device), settings, generator), data.labels[rows].to(device)
        fraction_done = step / (steps * settings.epochs)
        loss += train_step(net, net.embed, state.optimiser, batch, settings, fraction_done) * len(rows)
    return loss / len(data.train)


def train_step(
    net: networks.Network,
    embed: Callable[[Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    settings: MotionNet,
    fraction_done: float,
) -> float:
    """Do one step on a batch (inputs, labels), at fraction_done, from 0 to 1, of the training; return the loss.

    embed gives the embeddings of the inputs. The loss is the mean over the members of the network.
    """
    set_learning_rate(optimiser, settings, fraction_done)
    inputs, labels = batch
    optimiser.zero_grad()
    with arithmetic(settings, inputs.device):
        logits = net.member_logits(embed(inputs)).float()
        members = logits.shape[1]
        loss = _loss(logits.flatten(0, 1), labels.repeat_interleave(members, dim=0), settings.label_smoothing)
        loss.backward()
    optimiser.step()
    return loss.item()


def train_batches(data: TrainingData, settings: MotionNet, epoch: int) -> list[list[ClipSample]]:
    """Return the batches of an epoch: the train clips in random order, each with random positions."""
    generator = np.random.default_rng([settings.seed, epoch])
    order = generator.permutation(len(data.train))
    parts = np.array_split(order, _steps_per_epoch(data, settings))
    return [
        [ClipSample(data.train[index], sampling.random_positions(settings, generator)) for index in part]
        for part in parts
    ]


def _remaining_batches(data: TrainingData, settings: MotionNet, start: int) -> Iterator[list[ClipSample]]:
    """Yield the train and validation batches of each epoch from `start` on."""
    for epoch in range(start, settings.epochs):
        yield from train_batches(data, settings, epoch)
        yield from embedding_batches(data.val, settings)


def _steps_per_epoch(data: TrainingData, settings: MotionNet) -> int:
    """Number of batches of nearly equal size: BatchNorm cannot learn from a last batch of one clip."""
    return max(1, len(data.train) // settings.batch)


def _initial_state(data: TrainingData, settings: MotionNet, device: torch.device) -> TrainingState:
    torch.manual_seed(settings.seed)
    net = networks.build_network(settings, data.classes)
    if settings.pretrained is not None and isinstance(net, networks.EfficientNetB0):
        net.load_pretrained(settings.pretrained, settings.pretrained_revision)
    net = net.to(device)
    return TrainingState(net, build_optimiser(net, settings), training_state.copy_state_dict(net))


def _is_out_of_patience(state: TrainingState, settings: MotionNet) -> bool:
    if settings.patience is None or not state.epoch:
        return False
    return state.epoch - 1 - state.best_epoch >= settings.patience


def _validate(
    data: TrainingData, settings: MotionNet, net: networks.Network, batches: Iterator[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """Return mean loss and top-1 accuracy of the validation clips, in the plain view.

    Where a clip may have several classes, it counts as correct if the most probable class is one of them.
    """
    device = next(net.parameters()).device
    loss = correct = 0.0
    for _ in embedding_batches(data.val, settings):
        fields, rows = next(batches)
        _, logits = embed_motion(net, fields.to(device), settings)
        labels = data.labels[rows].to(device)
        loss += _loss(logits, labels, reduction="sum").item()
        guess = logits.argmax(dim=1)
        hits = guess == labels if labels.ndim == 1 else labels.gather(1, guess[:, None])
        correct += hits.sum().item()
    return loss / len(data.val), correct / len(data.val)


def _loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross-entropy of logits [B, C], summed or mean over clips; for labels [B, C] binary, and mean over classes."""
    if labels.ndim == 1:
        return nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
    targets = labels.to(logits) * (1 - smoothing) + smoothing / 2
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)
    return loss / labels.shape[1] if reduction == "sum" else loss
