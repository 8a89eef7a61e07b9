"""What the output files of a command must not replace: its inputs, one another, files of the project, and devices."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from mocliplite import params
from mocliplite.data.folders import find_videos
from mocliplite.data.names import is_video
from mocliplite.errors import UserError
from mocliplite.files import refuse_target

LISTS = ("*.csv", "*.txt", "*.json")  # patterns of the files that are read in a folder of lists
CHECKPOINT = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")  # and in that of a checkpoint
_GRAPH, _STAGES = Path("dvc.yaml"), "stages."


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Iterable[str | Path | int] = (), in_project: bool = True
) -> None:
    """Raise UserError for an output that would replace what it must not, before anything is computed.

    outputs: path by option, None if the option is not given. inputs: what the command reads, a number being an open
    file. in_project: whether the files of the project count as inputs. Files are the same if links lead to the same: an
    output would replace only the link, but whoever names it means the file.
    """
    given = {option: path for option, path in outputs.items() if path}
    option_of: dict[object, str] = {}
    for option, path in given.items():
        refuse_target(path)
        if Path(path).is_dir():
            raise UserError(f"{option} is {path}, which is a folder; give a file.")
        other = option_of.setdefault(_identity(path), option)
        if other != option:
            raise UserError(f"{other} and {option} are the same file, {path}; give different files.")
    # A new file replaces nothing, and there may be many inputs.
    if any(map(os.path.exists, given.values())):
        own = _files_of_project(given.values()) if in_project else ()
        for what, paths in (("this command reads", inputs), ("belongs to the project", own)):
            found = next((option_of[key] for key in map(_identity, paths) if key in option_of), None)
            if found:
                raise UserError(f"{found} is {given[found]}, which {what}; give another file.")
    for option, path in given.items():
        refuse_stage_output(option, path)


def refuse_stage_output(option: str, path: str) -> None:
    """Raise UserError for a path in an output of a stage: DVC would remove it, and take the output for changed."""
    target = Path(path).resolve()
    out = next((out for out in _outputs_of_stages() if target.is_relative_to(Path(out).resolve())), None)
    if out:
        raise UserError(f"{option} is {path}, but only `dvc repro` writes to {out}; give another path.")


def files_in(place: str | None, *patterns: str) -> Iterator[Path]:
    """Yield the files in a folder that match one of the patterns, or the file itself."""
    if place is not None and not Path(place).is_dir():
        yield Path(place)
    elif place is not None:
        yield from chain.from_iterable(map(Path(place).glob, patterns))


def clips_in(folder: str, outputs: Iterable[str]) -> Iterator[Path]:
    """Yield the clips in a folder, if one of the outputs has the name of a clip: there may be many."""
    names = [Path(name).name for path in outputs for name in (path, os.path.realpath(path))]
    if any(map(is_video, names)) and Path(folder).is_dir():
        yield from (Path(folder, path) for path in find_videos(Path(folder)))


def _identity(path: str | Path | int) -> object:
    """Return what all paths to a file have in common; for a new file the path without links."""
    try:
        status = os.stat(path)  # noqa: PTH116  of an open file, too
    except OSError:
        return path if isinstance(path, int) else os.path.normcase(os.path.realpath(path))
    return status.st_dev, status.st_ino


def _files_of_project(outputs: Iterable[str]) -> Iterator[Path]:
    """Yield settings, graph, what stages write, and what the settings name."""
    yield from (Path(params.FILE), _GRAPH, _GRAPH.with_suffix(".lock"))
    for out in _outputs_of_stages():
        yield from files_in(out, "**/*")
    with suppress(UserError, RecursionError):
        settings = params.load()
        dataset, encoder = settings.dataset, settings.encoder
        yield from map(Path, (dataset.files, encoder.prompts, encoder.names))
        yield from files_in(dataset.lists, *LISTS)
        yield from files_in(encoder.model, *CHECKPOINT)
        yield from files_in(encoder.features, "**/*.npy", "*.txt")
        yield from clips_in(dataset.root, outputs)


def _outputs_of_stages() -> Iterator[str]:
    """Yield the outputs of the stages of this project."""
    from mocliplite.cli._clip_source import outputs_of, read_stages

    # A damaged file is named where it is used. A stage of the user's may be this command.
    with suppress(UserError, RecursionError):
        for stage in (stage for stage in read_stages(_GRAPH) if _STAGES in str(stage.get("cmd"))):
            yield from outputs_of(stage)
