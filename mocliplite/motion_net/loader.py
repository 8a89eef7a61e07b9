"""Load motion fields from a store in batches, as they are needed: the data set is never held in memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mocliplite.motion_net.sampling import load_fields
from mocliplite.params import MotionNet
from mocliplite.store.stores import Store


class ClipSample(NamedTuple):
    """A clip and the positions in time at which its fields are sampled."""

    row: int  # of the clip among the ids of MotionClips
    positions: np.ndarray  # float64 [S], from 0 (start of the clip) to 1 (end)


class MotionClips(Dataset[tuple[Tensor, int]]):
    """Clips of a motion store. A ClipSample of S positions gives (fields float16 [S, 3, rows, cols], row)."""

    def __init__(self, store: Store, ids: Sequence[str], settings: MotionNet) -> None:
        self.store, self.ids = store, list(ids)
        self.grid, self.remove_global_motion = (settings.rows, settings.cols), settings.remove_global_motion

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, sample: ClipSample) -> tuple[Tensor, int]:
        clip_id = self.ids[sample.row]
        fields = load_fields(self.store, clip_id, sample.positions, self.grid, self.remove_global_motion)
        return torch.from_numpy(fields), sample.row


def load_batches(
    clips: MotionClips, samples: Iterable[list[ClipSample]], workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return an iterator of (fields float16 [B, S, 3, rows, cols], rows int64 [B]), one per batch of samples, in order.

    Worker processes read ahead. All random numbers are drawn before reading, so the number of workers changes nothing.
    """
    # A generator of its own; without one, each pass would advance the global generator of torch.
    return iter(DataLoader(clips, batch_sampler=samples, num_workers=workers, generator=torch.Generator()))
