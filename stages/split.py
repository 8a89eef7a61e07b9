"""Assign each clip to train, validation or test.

Reads features/clips.csv and the lists in dataset.lists. Writes features/splits.csv. Where there is an evaluation, in
features/test_clips.csv, it prints how many of its test clips stay; nothing that is written depends on this.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from mocliplite import csv_files, params
from mocliplite.data.clips import class_names, read_clips
from mocliplite.data.splits import Split, split_clips, write_splits

from . import run_stage

ABSENT = {
    "val": "classes without validation clips: {}, such as {}; epochs, weights and temperatures ignore them",
    "test": "classes without test clips: {}, such as {}; they are not tested",
}


def main() -> None:
    settings = params.load().dataset
    clips = read_clips("features/clips.csv")
    splits = split_clips(clips, settings)
    write_splits("features/splits.csv", splits)

    counts = Counter(splits.values())
    print(", ".join(f"{split} {counts[split]}" for split in get_args(Split) if counts[split]))
    print_changes(splits)
    for split in ("val", "test"):
        present = {label for clip in clips if splits[clip.id] == split for label in clip.labels}
        absent = sorted(set(class_names(clips)) - present)
        if absent:
            print(f"warning: {ABSENT[split].format(len(absent), absent[0])}; add clips of other groups to them.")


def print_changes(splits: Mapping[str, Split]) -> None:
    """Print how many test clips of the last evaluation, if there is one, are test clips again."""
    path = Path("features/test_clips.csv")
    before = [row["id"] for row in csv_files.read_csv(path)] if path.is_file() else []
    if before:
        tested = {csv_files.text_cell(clip_id) for clip_id, split in splits.items() if split == "test"}
        stay = len(tested.intersection(before))
        print(f"{stay} of the {len(before)} test clips of the last evaluation are test clips again")


if __name__ == "__main__":
    run_stage("split", main)
