"""Load motion fields from a store in batches, as they are needed: the data set is never held in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mocliplite.errors import UserError
from mocliplite.motion_net import sampling
from mocliplite.params import MotionNet
from mocliplite.store.stores import Store

ClipDataset: TypeAlias = Dataset[tuple[Tensor, int]]
Loaded = TypeVar("Loaded")


class ClipSample(NamedTuple):
    """A clip and the positions in time at which its fields are sampled."""

    row: int  # of the clip among those of the data set
    positions: np.ndarray  # float64 [S], from 0 (start of the clip) to 1 (end)


class MotionClips(ClipDataset):
    """Clips of a motion store. A ClipSample of S positions gives (fields float16 [S, 3, rows, cols], row)."""

    def __init__(self, store: Store, ids: Sequence[str], settings: MotionNet) -> None:
        self.store, self.ids = store, list(ids)
        self.grid, self.remove_global_motion = (settings.rows, settings.cols), settings.remove_global_motion

    @property
    def field_shape(self) -> tuple[int, int, int]:
        """Shape of a field: (3, rows, cols)."""
        return (3, *self.grid)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, sample: ClipSample) -> tuple[Tensor, int]:
        fields = self.load(sample.row, lambda frames: frames[sampling.indices_at(len(frames), sample.positions)])
        return torch.from_numpy(fields), sample.row

    def load(self, row: int, select: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the fields of selected frames of the clip in this row: float16 [K, 3, rows, cols].

        select receives the indices of the frames with vectors, int64 [F], and returns K of them. Only these are read.
        """
        clip_id = self.ids[row]
        record = self.store.read_frames(clip_id, lambda kind: select(sampling.frames_with_vectors(kind)))
        size = self.store.sizes[clip_id]
        return sampling.sample_fields(record.arrays["vectors"], size, self.grid, self.remove_global_motion)


def load_batches(
    clips: ClipDataset, samples: Iterable[list[ClipSample]], workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return an iterator of (fields float16 [B, S, 3, rows, cols], rows int64 [B]), one per batch of samples, in order.

    Worker processes read ahead in a store; cached fields are read in this process, which is faster than receiving them.
    All random numbers are drawn before reading, so the number of workers changes nothing.
    """
    workers = workers if isinstance(clips, MotionClips) else 0
    # A generator of its own; without one, each pass would advance the global generator of torch.
    return loaded(DataLoader(clips, batch_sampler=samples, num_workers=workers, generator=torch.Generator()))


def loaded(loader: Iterable[Loaded]) -> Iterator[Loaded]:
    """Yield what a DataLoader loads. A UserError of its worker processes has a traceback in front of the sentence."""
    try:
        yield from loader
    except UserError as error:
        kind = type(error)
        raise kind(str(error).rpartition(f"{kind.__name__}: ")[2].strip()) from None
