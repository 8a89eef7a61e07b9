"""Training of the motion network. Validation clips choose the epoch; test clips are never seen here."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite import checkpoint
from mocliplite.encoders import efficientnet
from mocliplite.motion_net import augmentation, networks, sampling
from mocliplite.motion_net.embedding import embed_motion, sample_batches
from mocliplite.motion_net.loader import ClipSample, MotionClips, batches
from mocliplite.params import MotionNet
from mocliplite.runtime.progress import progress

# Share of the steps in which the learning rate of arch grid rises to its full height.
WARM_UP = 0.1
# The paper's learning rate falls to a tenth at these shares of the epochs: 80 and 160 of 200.
FALLS = (0.4, 0.8)
Curve = list[dict[str, float]]


@dataclass
class State:
    """A training between two epochs."""

    net: networks.Network
    optimiser: torch.optim.Optimizer
    best: dict[str, Tensor]  # the network's state at the epoch of the lowest validation loss
    curve: Curve = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.curve)

    @property
    def best_epoch(self) -> int:
        """Of the lowest validation loss, the first of equals."""
        return min(range(len(self.curve)), key=lambda epoch: self.curve[epoch]["val_loss"])


@dataclass(frozen=True)
class Task:
    """What is to be learned: clips, their classes as int64 [N], and which of them are for training and validation."""

    clips: MotionClips
    labels: Tensor
    train: Sequence[int]
    val: Sequence[int]
    classes: int


def fit_motion(
    task: Task,
    settings: MotionNet,
    where: torch.device,
    workers: int,
    resume: Path,
    key: str,
    watch: Callable[[Curve], None] = lambda curve: None,
) -> tuple[networks.Network, Curve, int]:
    """Train the motion network; returns (network of the best epoch, curve, that epoch from 0).

    The best epoch is that of the lowest validation loss. After each epoch the training is kept in the file `resume`;
    one that was ended goes on from there, to the same bytes, where `key` is still the same. Each epoch's random
    numbers follow from settings.seed and its number alone. `watch` gets the curve after each epoch, and at the end.
    """
    torch.use_deterministic_algorithms(True)
    state = _start(task, settings, where)
    _resume(state, resume, key)
    stream = batches(task.clips, _all_batches(task, settings, state.epoch), workers)
    with progress("train_motion", settings.epochs, "epoch") as bar:
        bar.update(state.epoch)
        while state.epoch < settings.epochs and not _is_out_of_patience(state, settings):
            train_loss = train_epoch(task, settings, state, stream)
            val_loss, val_top1 = _validate(task, settings, state.net, stream)
            state.curve.append({"train_loss": train_loss, "val_loss": val_loss, "val_top1": val_top1})
            if state.best_epoch == state.epoch - 1:
                state.best = _copy(state.net)
            _save_state(state, resume, key)
            watch(state.curve)
            bar.update()
        bar.total = state.epoch  # it may have ended before settings.epochs
    watch(state.curve)  # of a training that was ended after its last epoch, nothing else has written it
    state.net.load_state_dict(state.best)
    return state.net.eval(), state.curve, state.best_epoch


def optimiser_of(net: nn.Module, settings: MotionNet) -> torch.optim.Optimizer:
    """AdamW, or for efficientnet_b0 the paper's Adam; the groups' `share` is of the learning rate.

    Biases and BatchNorm's weights do not decay.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, value in net.named_parameters():
        share = _paper_lr_factor(name) if settings.arch == "efficientnet_b0" else 1.0
        groups.setdefault((share, value.ndim > 1), []).append(value)
    parts = [
        {"params": values, "share": share, "weight_decay": settings.weight_decay * decays}
        for (share, decays), values in groups.items()
    ]
    if settings.arch == "efficientnet_b0":
        return torch.optim.Adam(parts, lr=settings.lr, eps=1e-3)
    return torch.optim.AdamW(parts, lr=settings.lr)


def train_step(
    net: Callable[[Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
    seen: tuple[Tensor, Tensor],
    settings: MotionNet,
    progressed: float,
) -> float:
    """One step on (inputs, labels) at the share `progressed` of the training; returns the loss."""
    for group in optimiser.param_groups:
        group["lr"] = settings.lr * group["share"] * _lr_factor(progressed, settings)
    inputs, labels = seen
    with torch.autocast("cuda", torch.bfloat16, enabled=inputs.is_cuda):
        logits = net(inputs)
    loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=settings.label_smoothing)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def _start(task: Task, settings: MotionNet, where: torch.device) -> State:
    torch.manual_seed(settings.seed)
    net = networks.motion_net(settings, task.classes)
    if settings.pretrained is not None and isinstance(net, networks.EfficientNetB0):
        net.start_from(settings.pretrained)
    net = net.to(where)
    return State(net, optimiser_of(net, settings), _copy(net))


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def _paper_lr_factor(name: str) -> float:
    if name.startswith("classify."):
        return 1.0
    return 0.1 if name.startswith("normalise.") or name == f"backbone.{efficientnet.STEM}" else 0.01


def _lr_factor(progressed: float, settings: MotionNet) -> float:
    """The learning rate as a share of its full height: warm-up and cosine, or the paper's steps."""
    if settings.arch == "efficientnet_b0":
        return float(0.1 ** sum(progressed >= fall for fall in FALLS))
    if progressed < WARM_UP:
        return progressed / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (progressed - WARM_UP) / (1 - WARM_UP))


def _is_out_of_patience(state: State, settings: MotionNet) -> bool:
    return state.epoch > 0 and state.epoch - 1 - state.best_epoch >= settings.patience


def _steps(task: Task, settings: MotionNet) -> int:
    """Batches an epoch, of nearly equal length: BatchNorm cannot learn from a last one of one clip."""
    return max(1, len(task.train) // settings.batch)


def epoch_batches(task: Task, settings: MotionNet, epoch: int) -> list[list[ClipSample]]:
    """The train clips in a new order, each with new places, in batches."""
    generator = np.random.default_rng([settings.seed, epoch])
    order = generator.permutation(len(task.train))
    parts = np.array_split(order, _steps(task, settings))
    return [
        [ClipSample(task.train[index], sampling.random_positions(settings, generator)) for index in part]
        for part in parts
    ]


def _all_batches(task: Task, settings: MotionNet, start: int) -> Iterator[list[ClipSample]]:
    for epoch in range(start, settings.epochs):
        yield from epoch_batches(task, settings, epoch)
        yield from sample_batches(task.val, settings)


def train_epoch(task: Task, settings: MotionNet, state: State, stream: Iterator[tuple[Tensor, Tensor]]) -> float:
    """One pass over the train clips; returns their mean loss."""
    # Dropout's numbers and those of the augmentation follow from the epoch, so that nothing needs to be remembered.
    seed = int(np.random.default_rng([settings.seed, state.epoch]).integers(2**62))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    state.net.train()
    where = next(state.net.parameters()).device
    steps = _steps(task, settings)
    loss = 0.0
    for step in range(state.epoch * steps, (state.epoch + 1) * steps):
        fields, rows = next(stream)
        seen = augmentation.augment(fields.to(where), settings, generator), task.labels[rows].to(where)
        loss += train_step(state.net, state.optimiser, seen, settings, step / (steps * settings.epochs)) * len(rows)
    return loss / len(task.train)


def _validate(
    task: Task, settings: MotionNet, net: networks.Network, stream: Iterator[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """Mean loss and accuracy of the validation clips, plainly seen."""
    where = next(net.parameters()).device
    loss = correct = 0.0
    for _ in sample_batches(task.val, settings):
        fields, rows = next(stream)
        _, logits = embed_motion(net, fields.to(where), settings)
        labels = task.labels[rows].to(where)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
    return loss / len(task.val), correct / len(task.val)


def _save_state(state: State, path: Path, key: str) -> None:
    """Write a training so that _restore finds it."""
    moments = {
        f"optimiser/{name}/{what}": value
        for name, parameter in state.net.named_parameters()
        for what, value in state.optimiser.state.get(parameter, {}).items()
    }
    tensors = {f"net/{name}": value for name, value in state.net.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()} | moments
    kept = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    checkpoint.save_state(path, kept, {"key": key, "curve": state.curve})


def _resume(state: State, path: Path, key: str) -> None:
    """Go on where a training of the same key was ended; any other is left alone."""
    found = checkpoint.load_state(path)
    if found is None or found[1].get("key") != key:
        return
    where = next(state.net.parameters()).device
    tensors = {name: torch.from_numpy(value).to(where) for name, value in found[0].items()}
    part: dict[str, dict[str, Tensor]] = {"net": {}, "best": {}, "optimiser": {}}
    for name, value in tensors.items():
        what, _, rest = name.partition("/")
        part[what][rest] = value
    state.net.load_state_dict(part["net"])
    state.best, state.curve = part["best"], found[1]["curve"]
    parameters = dict(state.net.named_parameters())
    for name, value in part["optimiser"].items():
        owner, _, what = name.rpartition("/")
        # Adam counts its steps on the CPU.
        state.optimiser.state[parameters[owner]][what] = value.cpu() if what == "step" else value
