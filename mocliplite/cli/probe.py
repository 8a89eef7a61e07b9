"""`probe`: what a clip contains."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mocliplite.cli._shared import for_each, refuse_failed
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.motion.inspection import Inspection

HELP = "show codec, size, frames and motion vectors of clips"
EXAMPLE = "example: python -m mocliplite probe my_clips/ other.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="clips, or folders of clips")


def run(given: argparse.Namespace) -> None:
    """Print a line per clip: codec, size, rate, frames by type, vectors per frame or why there are none."""
    from mocliplite.motion import inspection

    paths = [path for place in given.paths for path in _videos(place)]
    clips: list[Inspection] = []
    print(inspection.HEAD)

    def show(path: str) -> None:
        if not Path(path).exists():
            raise UserError(f"{path} is neither a clip nor a folder of clips; check the path.")
        clips.append(inspection.inspect(path))
        print(inspection.line(clips[-1]), flush=True)

    failed = for_each(paths, show)
    if len(paths) > 1:
        print(inspection.summary(clips, failed))
    refuse_failed(failed, len(paths))


def _videos(place: str) -> list[str]:
    from mocliplite.data.clips import ENDINGS

    if not Path(place).is_dir():
        return [place]
    found = sorted(str(path) for path in Path(place).rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        raise UserError(f"{place} has no clip ({', '.join(ENDINGS)}); check the path.")
    return found
