"""The entry points: what writes an input into the folder `input`, and what reads it from there.

Both are called in an empty working folder, in a process that many inputs share. `project` is a folder in which the
pipeline ran.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fuzz import clips, exports, footage_entries, stores, tables, uploads
from benchmarks.fuzz.outcomes import Outcome

Make = Callable[[np.random.Generator, Path, "list[clips.Clip]"], str]
Try = Callable[[Path], Outcome]


@dataclass(frozen=True)
class Entry:
    """An entry point."""

    share: int  # of the inputs, in per cent of them all
    make: Make  # (random generator, project, clips to edit): writes the input and returns the name of the edit
    read: Try  # (project): reads it


ENTRIES: dict[str, Entry] = {
    "extraction": Entry(18, footage_entries.make_data_set, footage_entries.extract),
    "predict": Entry(12, footage_entries.make_clip, footage_entries.predict),
    "windows": Entry(5, footage_entries.make_clip, footage_entries.predict_windows),
    "probe": Entry(9, footage_entries.make_clip, footage_entries.probe),
    "init": Entry(4, tables.make_own_clips, tables.init),
    "doctor": Entry(1, tables.make_project, tables.doctor),
    "stores": Entry(17, stores.make, stores.read),
    "lists": Entry(12, tables.make_list, tables.index_and_split),
    "params": Entry(10, tables.make_params, tables.load_params),
    "exports": Entry(6, exports.make, exports.load),
    "uploads": Entry(6, uploads.make, uploads.send),
}
