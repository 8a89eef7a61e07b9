"""`few-shot`: test accuracy against the number of train clips per class."""

import argparse
import sys

from mocliplite.cli._outputs import check_outputs
from mocliplite.cli._shared import positive_int, refuse_missing_folder

HELP = "print the test accuracy with few train clips per class"
EXAMPLE = "example: python -m mocliplite few-shot --shots 1,2,4,8,16"
SHOTS = (1, 2, 4, 8, 16)
OPTIMISTIC = (
    "the motion network was trained on all train clips, so motion_probe, ridge and fusion are too good for few clips; "
    "--train-motion trains it on the drawn clips alone"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("--shots", type=_numbers, default=SHOTS, metavar="K,K", help="train clips per class (1,2,4,8,16)")
    add("--draws", type=positive_int, default=5, help="random draws of the clips, by whole groups (5)")
    add(
        "--train-motion",
        action="store_true",
        help="train the motion network on the drawn clips of each draw as well; takes a few minutes",
    )
    add("--csv", metavar="FILE", help="also write the table to a file")


def run(given: argparse.Namespace) -> None:
    """Print the accuracy on the test clips for each number of train clips per class."""
    from mocliplite import params
    from mocliplite.cli import _retrained_motion
    from mocliplite.csv_files import write_csv
    from mocliplite.fusion import few_shot
    from mocliplite.fusion.pairs import read_split
    from mocliplite.runtime.device import device

    if given.csv:
        refuse_missing_folder(given.csv, "--csv")
    check_outputs({"--csv": given.csv})
    settings = params.load()
    train, val, test = (read_split("features/pairs.h5", name).arrays for name in ("train", "val", "test"))
    torch_device = device(settings.compute)
    ids = sorted(clip_id for split in (train, val, test) for clip_id in split["ids"].tolist())
    options = {"prepare": _retrained_motion.retrain(settings, ids, torch_device)} if given.train_motion else {}
    rows = few_shot.few_shot((train, val, test), given.shots, given.draws, settings.head, torch_device, **options)
    for figure, title in few_shot.FIGURES.items():
        print(f"{title} on {len(test['label'])} test clips: mean (standard deviation over draws)")
        print(few_shot.table(rows, figure))
    if not given.train_motion:
        print(f"note: {OPTIMISTIC}", file=sys.stderr)
    label, clips = few_shot.smallest_class(train)
    if clips < max(given.shots):
        print(
            f"note: {label} has {clips} train clips; a class with fewer clips contributes all it has", file=sys.stderr
        )
    if given.csv:
        write_csv(given.csv, rows)
        print(f"wrote {given.csv}")


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of an option such as 1,2,4, in increasing order."""
    return tuple(sorted({positive_int(part.strip()) for part in text.split(",")}))
