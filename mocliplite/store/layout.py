"""Which files a store has, and in which of them a clip is.

A hash of the id determines the shard of a clip, so a new clip changes one file. The number of shards depends on the
kind of store and on the number of clips alone. Where it doubles, shard i of n becomes the shards i and i + n of 2n.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from mocliplite import spans
from mocliplite.errors import UserError
from mocliplite.store import schema

# On average, unless the store has the most shards. 256 clips of 10 seconds are 50 MB of motion.
CLIPS_PER_SHARD = 256
# More files would cost DVC more than smaller files save (docs/sharing.md).
MOST_SHARDS = 4096
# 0003.h5 of the fewest shards of its kind, 0003-of-1024.h5 of more. While a store changes its number, it has both.
_NAME = re.compile(r"(\d{4,})(?:-of-(\d+))?\.h5")
# End of the id of a segment.
_SPAN = re.compile(f"@{spans.TEXT}$")


def numbers_of_shards(kind: str) -> list[int]:
    """Return the numbers of shards that a kind of store can have: the fewest, and its doublings."""
    fewest = schema.SHARDS[kind]
    return [fewest << doublings for doublings in range((MOST_SHARDS // fewest).bit_length())]


def number_of_shards(kind: str, clips: int) -> int:
    """Return the number of shards of a kind of store of this number of clips, including those that failed."""
    numbers = numbers_of_shards(kind)
    return next((shards for shards in numbers if clips <= CLIPS_PER_SHARD * shards), numbers[-1])


def shard_of(clip_id: str, shards: int) -> int:
    """Return the number of the shard of a clip. It depends on the id alone, never on the other clips or the machine.

    All segments of a file are in the shard of the file, so that it is decoded once for all of them.
    """
    file_id = _SPAN.sub("", clip_id)
    return int.from_bytes(hashlib.sha256(file_id.encode()).digest()[:8], "big") % shards


def by_shard(ids: Iterable[str], shards: int) -> list[list[str]]:
    """Return the ids of each shard, in order. Raises UserError for an id that no clip can have."""
    ids_by_shard: list[list[str]] = [[] for _ in range(shards)]
    for clip_id in sorted(ids):
        if clip_id in schema.INDEX | schema.MOTION_LISTS:
            problem = f"the clip {clip_id} has the name of a part of the stores"
            raise UserError(f"{problem}; rename its file, or give it another id in dataset.lists.")
        ids_by_shard[shard_of(clip_id, shards)].append(clip_id)
    return ids_by_shard


def shard_path(folder: str | Path, kind: str, number: int, shards: int) -> Path:
    """Return the path of a shard."""
    of = "" if shards == schema.SHARDS[kind] else f"-of-{shards}"
    return Path(folder, f"{number:04d}{of}.h5")


def shard_paths(folder: str | Path, kind: str, shards: int) -> list[Path]:
    """Return the paths of all shards of a store."""
    return [shard_path(folder, kind, number, shards) for number in range(shards)]


def ids_by_path(folder: str | Path, kind: str, ids: Iterable[str]) -> dict[Path, list[str]]:
    """Return the path of each shard of a store of these clips, with its ids in order."""
    ids = list(ids)
    shards = number_of_shards(kind, len(ids))
    return dict(zip(shard_paths(folder, kind, shards), by_shard(ids, shards), strict=True))


def number_and_shards(path: Path, kind: str) -> tuple[int, int] | None:
    """Return which shard of how many a file is by its name, None if it is none."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        return None
    number, shards = int(name[1]), int(name[2] or schema.SHARDS[kind])
    return (number, shards) if number < shards else None


def found_numbers(folder: str | Path, kind: str) -> list[int]:
    """Return of how many shards the files in a folder are: one number, unless a run was stopped that changes it."""
    found = (number_and_shards(path, kind) for path in Path(folder).glob("*.h5"))
    return sorted({named[1] for named in found if named})


def overlapping(path: Path, kind: str) -> list[Path]:
    """Return the path of a shard, and of the shards in another number of shards that may have some of its clips."""
    named = number_and_shards(path, kind)
    if named is None:
        return [path]
    others = []
    for shards in numbers_of_shards(kind):
        step = min(shards, named[1])
        others += [shard_path(path.parent, kind, number, shards) for number in range(named[0] % step, shards, step)]
    return [path, *(other for other in others if other != path)]
