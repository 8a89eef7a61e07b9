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

    share: float  # of the inputs, in per cent of them all; fewer where an input takes long
    make: Make  # (random generator, project, clips to edit): writes the input and returns the name of the edit
    read: Try  # (project): reads it


ENTRIES: dict[str, Entry] = {
    "extraction": Entry(8, footage_entries.make_data_set, footage_entries.extract),
    "predict": Entry(20, footage_entries.make_clip, footage_entries.predict),
    "windows": Entry(2, footage_entries.make_clip, footage_entries.predict_windows),
    "probe": Entry(14, footage_entries.make_clip, footage_entries.probe),
    "init": Entry(1.5, tables.make_own_clips, tables.init),
    "doctor": Entry(0.5, tables.make_project, tables.doctor),
    "stores": Entry(20, stores.make, stores.read),
    "lists": Entry(15, tables.make_list, tables.index_and_split),
    "params": Entry(14, tables.make_params, tables.load_params),
    "exports": Entry(1.5, exports.make, exports.load),
    "uploads": Entry(3.5, uploads.make, uploads.send),
}
