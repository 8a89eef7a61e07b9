"""Motion clips for a network, read from their store as they are needed: no data set is held in memory."""

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
    """A clip, by its place among the ids, and the places from 0 to 1 of which its fields are wanted."""

    row: int
    places: np.ndarray


class MotionClips(Dataset[tuple[Tensor, int]]):
    """The fields of clips of a motion store, float16 [S, 3, rows, cols], for a Pick of S places; and its row."""

    def __init__(self, store: Store, ids: Sequence[str], settings: MotionNet) -> None:
        self.store, self.ids = store, list(ids)
        self.grid, self.remove_global_motion = (settings.rows, settings.cols), settings.remove_global_motion

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, pick: ClipSample) -> tuple[Tensor, int]:
        fields = load_fields(self.store, self.ids[pick.row], pick.places, self.grid, self.remove_global_motion)
        return torch.from_numpy(fields), pick.row


def batches(clips: MotionClips, picks: Iterable[list[ClipSample]], workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(fields float16 [B, S, 3, rows, cols], rows int64 [B]) of each batch of picks, in order.

    Workers read ahead; all that is drawn at random is drawn before, so their number changes nothing.
    """
    # A generator of its own: else each pass would advance torch's global one.
    return iter(DataLoader(clips, batch_sampler=picks, num_workers=workers, generator=torch.Generator()))
