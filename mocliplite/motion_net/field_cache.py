"""The fields of many clips on the grid of the network, in a temporary file.

Reading a clip from its store and resampling it takes longer than a training step, and gives the same fields in every
epoch. The file has no name, so it is gone when the training ends, even if it is killed. It is read, not mapped into
memory: the system keeps as much of it in memory as there is room for, and does not count it as memory of the process.
"""

import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from io import BufferedRandom
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mocliplite.errors import MachineError, reading, writing
from mocliplite.motion_net.loader import ClipDataset, ClipSample, MotionClips, loaded
from mocliplite.motion_net.sampling import indices_at
from mocliplite.runtime.progress import progress

_WHAT = "the cache of the fields"
_MAX_SHARE = 0.8  # of the free disk
_PART = 256  # fields resampled at a time; all those of a long clip would need much memory


class CachedClips(ClipDataset):
    """Clips in the cache. A ClipSample gives what it gives of MotionClips."""

    def __init__(self, file: BufferedRandom, field_shape: Sequence[int], lengths: Sequence[int]) -> None:
        """file: the fields float16 [F, 3, rows, cols] of all clips in order; lengths: how many are of each clip."""
        self.file, self.field_shape, self.lengths = file, tuple(field_shape), lengths
        self.starts = np.cumsum([0, *lengths[:-1]])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sample: ClipSample) -> tuple[Tensor, int]:
        indices = self.starts[sample.row] + indices_at(self.lengths[sample.row], sample.positions)
        fields = torch.empty(len(indices), *self.field_shape, dtype=torch.float16)
        with reading(_WHAT):
            for field, index in zip(fields.numpy(), indices.tolist(), strict=True):
                self.file.seek(index * field.nbytes)
                if self.file.readinto(field) != field.nbytes:
                    raise MachineError(f"{_WHAT} ends too early; check its disk and run again.")
        return fields, sample.row


def cache_fields(clips: MotionClips, folder: Path, workers: int) -> MotionClips | CachedClips:
    """Return the clips with the fields of all their frames that have vectors cached in a file in this folder.

    The file needs 6 * rows * cols bytes per frame. If it would take most of the free disk, the clips are returned as
    they are, and a warning is printed. Raises UserError if the file cannot be written.
    """
    bytes_needed = sum(clips.store.lengths[clip_id] for clip_id in clips.ids) * math.prod(clips.field_shape) * 2
    what = f"{_WHAT} in {folder}"
    with writing(what):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if bytes_needed > _MAX_SHARE * free:
        print(
            f"warning: caching the fields of all clips needs {bytes_needed / 2**30:.1f} GiB in {folder}, and "
            f"{free / 2**30:.1f} GiB are free; the store is read in every epoch instead, which is slower.",
            file=sys.stderr,
        )
        return clips
    lengths = [0] * len(clips)
    with writing(what):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed with the clips)
    for row, fields in _read_parts(clips, workers):
        lengths[row] += len(fields)
        with writing(what):
            file.write(fields.numpy().tobytes())
    with writing(what):
        file.flush()
    return CachedClips(file, clips.field_shape, lengths)


class _Parts(Dataset[tuple[int, Tensor]]):
    """Parts of clips: (row, first field, last field + 1) gives (row, these fields, float16 [K, 3, rows, cols])."""

    def __init__(self, clips: MotionClips) -> None:
        self.clips = clips

    def __getitem__(self, part: tuple[int, int, int]) -> tuple[int, Tensor]:
        row, start, stop = part
        return row, torch.from_numpy(self.clips.load(row, lambda frames: frames[start:stop]))


def _read_parts(clips: MotionClips, workers: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the parts of all clips in order, read ahead by worker processes."""
    counts = [max(1, -(-clips.store.lengths[clip_id] // _PART)) for clip_id in clips.ids]
    parts = [(row, part * _PART, (part + 1) * _PART) for row, count in enumerate(counts) for part in range(count)]
    # A generator of its own; without one, each pass would advance the global generator of torch.
    loader = DataLoader(_Parts(clips), sampler=parts, batch_size=None, num_workers=workers, generator=torch.Generator())
    with progress("motion fields", len(clips), "clip") as bar:
        done = 0
        for row, fields in loaded(loader):
            yield row, fields
            bar.update(row - done)
            done = row
        bar.update(len(clips) - done)
