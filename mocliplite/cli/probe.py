"""`probe`: codec, size, frames and motion vectors of clips."""

import argparse
import os
from typing import TYPE_CHECKING

from mocliplite.cli._shared import clip_paths, compute, for_each, refuse_failed
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.motion.inspection import Inspection

HELP = "show codec, size, frames and motion vectors of clips"
EXAMPLE = "example: python -m mocliplite probe my_clips/ other.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="clips, or folders of clips")


def run(given: argparse.Namespace) -> None:
    """Print a line per clip: codec, size, frame rate, frame types, vectors per frame or why there are none."""
    from mocliplite.motion import inspection
    from mocliplite.runtime.crash_safe import call_crash_safe
    from mocliplite.video.streams import Limits

    paths: list[str] = []
    empty = for_each(given.paths, lambda path: paths.extend(clip_paths(path)))
    settings = compute()
    clips: list[Inspection] = []
    print(inspection.HEADER)

    def show(path: str) -> None:
        if not os.path.exists(path):  # noqa: PTH110  unlike Path.exists, False for a name that is too long
            raise UserError(f"{path} is neither a clip nor a folder of clips; check the path.")
        clips.append(call_crash_safe(inspection.inspect, settings, path, Limits.of(settings)))
        print(inspection.table_row(clips[-1]), flush=True)

    failed = empty + for_each(paths, show)
    if len(paths) > 1:
        print(inspection.summary(clips, failed))
    refuse_failed(failed, max(failed, len(paths)))
