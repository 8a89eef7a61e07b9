"""Seconds of a training epoch of the motion network: from the store, from the cache of fields, and of its steps alone.

Run `python -m benchmarks.training`. It uses features/motion and the settings of params.yaml, with made-up classes,
which do not change the time, and repeats each way --repeats times in turn. `steps alone` is the limit: augmentation,
forward and backward pass on batches that are in memory. For motion_histogram, the parts of a step follow.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from mocliplite import params
from mocliplite.errors import run
from mocliplite.motion_net import augmentation, field_cache, loader, networks, training
from mocliplite.motion_net.arithmetic import arithmetic
from mocliplite.motion_net.optimiser import build_optimiser
from mocliplite.motion_net.training_state import TrainingState, copy_state_dict
from mocliplite.store import stores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="features/motion", help="motion store (features/motion)")
    parser.add_argument("--repeats", type=int, default=3, help="epochs per way (3)")
    parser.add_argument("--clips", type=int, help="clips to train on; those of the store are repeated to this number")
    given = parser.parse_args()
    settings = params.load()
    net, workers = settings.motion_net, settings.compute.workers
    motion = stores.open_store(given.store)
    ids = list(islice(cycle(motion.ids), given.clips or len(motion.ids)))
    clips = loader.MotionClips(motion, ids, net)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cached = field_cache.cache_fields(clips, Path(folder), workers)
        building = time.perf_counter() - start
    seconds: dict[str, list[float]] = {"store": [], "cache": [], "steps alone": []}
    for epoch in range(given.repeats):
        seconds["store"].append(_epoch(clips, net, epoch, workers))
        seconds["cache"].append(_epoch(cached, net, epoch, workers))
        batches = list(_batches(cached, net, epoch, workers))
        seconds["steps alone"].append(_epoch(cached, net, epoch, workers, batches))
    limit = median(seconds["steps alone"])
    print(f"{len(clips)} clips, cache built in {building:.1f} s")
    for name, values in seconds.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(
            f"{name:12} {median(values):.2f} s per epoch ({spread}), {median(values) / limit:.2f} times the steps alone"
        )
    if net.arch == "motion_histogram":
        fields, _ = next(_batches(cached, net, 0, workers))
        for name, values in _parts_of_step(fields, net, given.repeats).items():
            print(f"{name:33} {1000 * median(values) / len(fields):.2f} ms per clip")


def _data(clips: loader.ClipDataset, rows: int) -> training.TrainingData:
    return training.TrainingData(clips, torch.arange(rows) % 2, range(rows), [], 2)


def _batches(
    clips: loader.ClipDataset, net: params.MotionNet, epoch: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    samples = training.train_batches(_data(clips, len(clips)), net, epoch)  # type: ignore[arg-type]
    return loader.load_batches(clips, samples, workers)


def _epoch(
    clips: loader.ClipDataset,
    settings: params.MotionNet,
    epoch: int,
    workers: int,
    in_memory: list[tuple[Tensor, Tensor]] | None = None,
) -> float:
    """Return the seconds of one epoch."""
    net = networks.build_network(settings, 2)
    state = TrainingState(net, build_optimiser(net, settings), copy_state_dict(net))
    state.curve += [{}] * epoch
    start = time.perf_counter()
    batches = iter(in_memory) if in_memory is not None else _batches(clips, settings, epoch, workers)
    training.train_epoch(_data(clips, len(clips)), settings, state, batches)  # type: ignore[arg-type]
    return time.perf_counter() - start


def _parts_of_step(fields: Tensor, settings: params.MotionNet, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each part of a training step of motion_histogram, once per repeat."""
    net, generator = networks.MotionHistogram(settings, 2), torch.Generator().manual_seed(0)
    inputs = augmentation.augment(fields, settings, generator)
    histogram = net.histogram(inputs)
    parts: dict[str, Callable[[], object]] = {
        "augmentation": lambda: augmentation.augment(fields, settings, generator),
        "histogram": lambda: net.histogram(inputs),
        "learned layers, forward": lambda: net.member_logits(net.embed_histogram(histogram)),
        "learned layers, forward, backward": lambda: net.member_logits(net.embed_histogram(histogram)).sum().backward(),
    }
    with arithmetic(settings, torch.device("cpu")):
        return {name: [_seconds(part) for _ in range(repeats)] for name, part in parts.items()}


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
