"""`init`: settings for your own clips."""

import argparse
from pathlib import Path

from mocliplite import params
from mocliplite.cli._outputs import CHECKPOINT, LISTS, check_outputs, clips_in, files_in
from mocliplite.cli._shared import refuse_missing_folder
from mocliplite.errors import UserError, refuse_special

HELP = "write params.yaml for your own clips, in class folders or in a list"
EXAMPLE = "example: python -m mocliplite init my_clips --force"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="folder with one subfolder of clips per class, or list, such as a CSV file")
    add("--root", metavar="DIR", help="SOURCE is a list, whose paths begin in this folder (that of the list)")
    add("--clip", metavar="CLIP", help="encoder: folder of a checkpoint, or hub id (CLIP ViT-B/32)")
    add("--out", default=params.FILE, metavar="FILE", help=f"output file ({params.FILE})")
    add("--force", action="store_true", help="replace the output file if it exists, and name the settings that change")


def run(given: argparse.Namespace) -> None:
    """Inspect a folder or a list of clips and write settings for it."""
    from mocliplite.cli import _findings, _init

    out = Path(given.out)
    refuse_missing_folder(given.out)
    if out.is_dir():
        raise UserError(f"--out is {out}, which is a folder; give a file.")
    refuse_special(given.source)
    inputs = (
        *files_in(given.source, *LISTS),
        *files_in(given.clip, *CHECKPOINT),
        *clips_in(given.root or given.source, [given.out]),
    )
    # --force is for the settings of the project.
    check_outputs({"--out": given.out}, inputs, in_project=False)
    if out.exists() and not given.force:
        raise UserError(f"{out} exists; give --force to replace it, or --out another file.")
    for place in filter(params.is_address, (given.source, given.root or "")):
        steps = "copy configs/folder.yaml to params.yaml and set dataset.root, see docs/own-clips.md"
        raise UserError(f"{place} is an address, but init looks at clips on this machine; {steps}.")
    clip = _init.find_clip(given.clip)
    source = Path(given.source)
    # With "/" on Windows too, so that the settings hold on every system.
    if given.root is not None or source.is_file():
        found = _findings.inspect_list(source.as_posix(), Path(given.root or source.parent).as_posix())
    else:
        found = _findings.inspect_folder(source.as_posix())
    if found.dataset.has_manifest:
        check_outputs({"--out": given.out, "the manifest": found.dataset.files}, in_project=False)
    print(_init.describe(found))
    print(clip.sentence)
    for line in _init.write(out, found, given.clip):
        print(line)
    if found.dataset.has_manifest:
        print(_init.write_manifest(found.dataset))
    print(f"wrote {out}; {_init.next_step(out, found, clip)}")
