"""Which files a store has, and in which of them a clip is.

A hash of the id determines the shard of a clip, so a new clip changes one file. The number of shards depends on the
kind of store and on the number of clips alone. Where it doubles, shard i of n becomes the shards i and i + n of 2n.
"""

import hashlib
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from mocliplite import spans
from mocliplite.errors import UserError
from mocliplite.store import schema

# On average, unless the store has the most shards. 256 clips of 10 seconds are 50 MB of motion.
CLIPS_PER_SHARD = 256
# More files would cost DVC more than smaller files save (docs/sharing.md).
MOST_SHARDS = 16384
# 0003.h5 of the fewest shards of its kind, 0003-of-1024.h5 of more; before ".h5", parts have a digest (update.py).
_NAME = re.compile(r"(\d{4,})(?:-of-(\d+))?(?:\.[0-9a-f]{16})?\.h5")
# End of the id of a segment.
_SPAN = re.compile(f"@{spans.TEXT}$")


def number_of_shards(kind: str, clips: int) -> int:
    """Return the number of shards of a kind of store of this number of clips, including those that failed."""
    shards = schema.SHARDS[kind]
    while clips > CLIPS_PER_SHARD * shards and shards < MOST_SHARDS:
        shards *= 2
    return shards


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


def found_numbers(folder: str | Path, kind: str) -> list[int]:
    """Return of how many shards the files in a folder are: one number, unless a run was stopped that changes it."""
    named = (_number_and_shards(name, kind) for name in _names(folder))
    return sorted({shards for _, shards in filter(None, named)})


def shards_in_common(path: Path, kind: str) -> list[Path]:
    """Return the shards that may have clips of the shard with this path: it, and those of other numbers of shards."""
    # Their names are computed: listing the folder for each of many shards would be quadratic.
    found, count = list[Path](), schema.SHARDS[kind]
    while count <= MOST_SHARDS:
        found += [other for other in shards_of_clips(path, kind, count) if other.is_file()]
        count *= 2
    return sorted(found)


def shards_of_clips(path: Path, kind: str, count: int) -> list[Path]:
    """Return the paths that the clips of the shard with this path have in a store of `count` shards."""
    own = _number_and_shards(path.name, kind)
    if own is None:
        return []
    number, shards = own
    step = min(count, shards)
    return [shard_path(path.parent, kind, other, count) for other in range(number % step, count, step)]


def same_number(path: Path, other: Path, kind: str) -> list[Path]:
    """Return the paths that the clips of the shard `other` have in a store of as many shards as that of `path`."""
    own = _number_and_shards(path.name, kind)
    return shards_of_clips(other, kind, own[1]) if own else []


def parts_in_common(folder: Path, kind: str, name: str) -> list[Path]:
    """Return the parts in a folder that may have clips of the shard of this name."""
    own = _number_and_shards(name, kind)
    if own is None or not folder.is_dir():
        return []
    others = ((other, _number_and_shards(other, kind)) for other in _names(folder))
    return [folder / other for other, found in others if found and _have_clips_in_common(own, found)]


def _names(folder: str | Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def _number_and_shards(name: str, kind: str) -> tuple[int, int] | None:
    """Return which shard of how many a file or a part of it is by its name, None if it is none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    number, shards = int(found[1]), int(found[2] or schema.SHARDS[kind])
    return (number, shards) if number < shards else None


def _have_clips_in_common(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return (one[0] - other[0]) % math.gcd(one[1], other[1]) == 0
