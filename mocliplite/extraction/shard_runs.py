"""Runs of a function that updates shards, by an engine, on a locked store."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.errors import Failure
from mocliplite.extraction import machines
from mocliplite.runtime import engines
from mocliplite.runtime.arguments import WHOLE, Part
from mocliplite.runtime.progress import progress
from mocliplite.store import layout, stores
from mocliplite.store.failures import check_failed, check_machine, reckon, recorded_failures


class Spec(Protocol):
    """What a call of update_shards is given."""

    @property
    def shards(self) -> Sequence[tuple[Path, Sized]]:
        """The path of each shard, and its clips or their ids."""


AnySpec = TypeVar("AnySpec", bound=Spec)


class ShardOfClips(NamedTuple):
    """A shard and the clips that belong into it."""

    path: Path
    clips: Sequence[Clip]


@dataclass(frozen=True)
class Updated:
    """What came of the update of one shard."""

    path: Path
    clips: int
    computed: int
    failed: int
    machine_failures: Mapping[str, Failure] = field(default_factory=dict)  # by id of the clip


def shards_of_clips(folder: str, kind: str, clips: Mapping[str, Clip], part: Part) -> list[ShardOfClips]:
    """Return the shards of a part of a store of this kind, with their clips in order of id.

    Shard i of n is followed by shard i + n / 2: where their number doubles, these two divide one shard, which is then
    removed.
    """
    numbered = list(enumerate(layout.ids_by_path(folder, kind, clips).items()))
    half = max(1, len(numbered) // 2)  # not within the key: a list is empty while it is sorted
    numbered.sort(key=lambda item: item[0] % half)
    return [
        ShardOfClips(path, [clips[clip_id] for clip_id in ids]) for number, (path, ids) in numbered if part.has(number)
    ]


def update_store_of_clips(
    folder: str,
    kind: str,
    update_shards: Callable[[AnySpec], Iterable[Updated]],
    specs: Sequence[AnySpec],
    clips: Collection[str],
    settings: params.Params,
    part: Part,
) -> None:
    """Update a part of the store of these clips, given by id, as update_store does.

    If the part is the whole store, print what became of the clips. Raises UserError where the machine failed, or more
    clips failed than dataset.max_failed allows.
    """
    before = recorded_failures(folder)
    machine_failures = update_store(folder, kind, update_shards, specs, settings.compute, part)
    check_machine(machine_failures, before, len(clips), kind)
    if part == WHOLE:
        check_failed(reckon(folder, clips, kind), len(clips), settings.dataset.max_failed, kind)


def update_store(
    folder: str,
    kind: str,
    update_shards: Callable[[AnySpec], Iterable[Updated]],
    specs: Sequence[AnySpec],
    compute: params.Compute,
    part: Part,
) -> dict[str, Failure]:
    """Call update_shards for all specs, which together have the shards of a part of the store.

    Returns the failures of the machine, by id of the clip. Raises UserError if another run updates the store or part,
    and the errors of update_shards.
    """
    machine_failures: dict[str, Failure] = {}
    computed = failed = 0
    clips = sum(len(ids) for spec in specs for _, ids in spec.shards)
    if part == WHOLE and not any(Path(folder).glob("*.h5")):
        machines.forget(Path(folder))
    with stores.updating(folder, kind, clips, part.name), progress(kind, clips, "clip") as bar:
        for updated in engines.map_specs(update_shards, specs, compute):
            computed, failed = computed + updated.computed, failed + updated.failed
            machine_failures |= updated.machine_failures
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(updated.clips)
    machines.print_differences(folder)
    return machine_failures
