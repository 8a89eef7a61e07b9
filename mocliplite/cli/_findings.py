"""What `init` finds in a folder or a list of clips: classes, groups, codecs, and what would spoil the training."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mocliplite import params
from mocliplite.cli._group_guess import guess_group
from mocliplite.cli._shared import compute
from mocliplite.data import index
from mocliplite.data.clips import Clip, id_of
from mocliplite.data.folders import clips_of_scan, scan_clips
from mocliplite.data.groups import are_shared
from mocliplite.data.lists.formats import has_several_labels
from mocliplite.data.names import OTHER_ENDINGS
from mocliplite.data.splits import split_clips
from mocliplite.errors import Failure, UserError
from mocliplite.motion import inspection
from mocliplite.runtime.crash_safe import crash_safe
from mocliplite.runtime.progress import progress
from mocliplite.video.streams import Limits

MANIFEST = "clips_manifest.csv"
TEMPLATE = "configs/folder.yaml"
FEW_CLIPS = 10  # clips per class; below it there is a warning
_MAX_LISTED = 10  # unreadable clips named in a warning


@dataclass(frozen=True)
class Findings:
    """The result of the inspection of a folder or a list of clips."""

    dataset: params.Dataset  # with the group that the names probably tell, and whether classes seem to share groups
    clips: list[Clip]
    codecs: dict[str, int]  # number of files by codec
    without_vectors: list[str]  # paths of files without motion vectors
    reencode: bool  # whether they are so many that motion.reencode should be auto
    unreadable: dict[str, str]  # reason by path
    warnings: list[str]
    stops: list[str]  # problems that stop `dvc repro`


def inspect_folder(root: str) -> Findings:
    """Inspect every clip in root/<class>/**. Raises UserError for a folder that is not a data set."""
    if not Path(root).is_dir():
        raise UserError(f"{root} does not exist; give a folder with one subfolder of clips per class, or a list.")
    settings = replace(params.load(TEMPLATE).dataset, root=root, files=root, group=None)
    scan = scan_clips(settings)
    settings = replace(settings, group=guess_group([path for paths in scan.videos.values() for path in paths]))
    clips = _with_groups(clips_of_scan(scan, replace(settings, group=None)), settings.group)
    if not clips:
        raise UserError(scan.errors[0])
    warnings = [*_linked_folders(scan.linked_folders), *_unsupported_files(scan.unsupported)]
    return _inspect(clips, settings, warnings, scan.errors)


def inspect_list(lists: str, root: str) -> Findings:
    """Inspect every clip of a list or a folder of lists, whose paths begin in root. Raises UserError for a bad list."""
    # A folder that contains the project contains what the stages write, so DVC cannot watch it.
    files = MANIFEST if Path.cwd().is_relative_to(Path(root).resolve()) else root
    settings = replace(params.load(TEMPLATE).dataset, root=root, files=files, lists=lists, group=None)
    settings = replace(settings, multi_label=has_several_labels(settings))
    clips, _ = index.name_clips(settings)
    if all(clip.span.is_whole_file and clip.group == id_of(clip.path) for clip in clips):
        settings = replace(settings, group=guess_group([f"{clip.label}/{Path(clip.path).name}" for clip in clips]))
        clips = _with_groups(clips, settings.group)
    return _inspect(clips, settings, [], [])


def _with_groups(clips: Sequence[Clip], pattern: str | None) -> list[Clip]:
    """Return the clips with the group that the pattern finds in their paths; others keep their own."""
    matches = [re.search(pattern, clip.path) if pattern else None for clip in clips]
    return [replace(clip, group=match[1]) if match else clip for clip, match in zip(clips, matches, strict=True)]


def _clips_without_group(clips: Sequence[Clip], pattern: str | None) -> list[str]:
    """Return a message about the clips in whose paths the pattern finds no group, which `index` refuses."""
    without = [] if pattern is None else [clip.path for clip in clips if not re.search(pattern, clip.path)]
    if not without:
        return []
    fits = f"dataset.group fits the names of {len(clips) - len(without)} of {len(clips)} clips, but not {without[0]}"
    return [f"{fits}; rename or remove such files, or set it to null, with which every clip is a group."]


def _inspect(
    clips: list[Clip], settings: params.Dataset, other_warnings: Sequence[str], errors: Sequence[str]
) -> Findings:
    settings = replace(settings, shared_groups=settings.multi_label or are_shared(clips))
    paths = sorted({clip.path for clip in clips})
    previews, unreadable = _previews(settings.root, paths)
    without_vectors = [path for path, preview in previews.items() if not preview.vectors]
    reencode = len(without_vectors) > settings.max_failed * len(paths)
    too_many_unreadable = len(unreadable) > settings.max_failed * len(paths)
    unreadable_list = _unreadable_clips(unreadable, settings.max_failed if too_many_unreadable else None)
    warnings = [
        *_small_classes(clips),
        *_mirrored_classes(clips),
        *_clips_without_vectors(without_vectors, reencode),
        *other_warnings,
        *([] if too_many_unreadable else unreadable_list),
    ]
    stops = [
        *errors,
        *_clips_without_group(clips, settings.group),
        *_split_errors(clips, settings),
        *(unreadable_list if too_many_unreadable else []),
    ]
    codecs = dict(Counter(preview.codec for preview in previews.values()).most_common())
    return Findings(settings, clips, codecs, without_vectors, reencode, unreadable, warnings, stops)


def _previews(root: str, paths: Sequence[str]) -> tuple[dict[str, inspection.Preview], dict[str, str]]:
    """Return the previews of usable files, and the reasons why the others cannot be used, by path.

    Raises MachineError where the machine fails, such as the disk: the settings must not depend on it.
    """
    settings = compute()
    preview_safely = crash_safe(inspection.preview, settings)
    previews: dict[str, inspection.Preview] = {}
    unreadable: dict[str, str] = {}
    with progress("init", len(paths), "file") as bar:
        for path in paths:
            bar.update()
            preview = preview_safely(f"{root}/{path}", Limits.of(settings))
            if isinstance(preview, Failure) and preview.transient:
                raise preview.error()
            if isinstance(preview, Failure):
                unreadable[path] = preview.reason
            elif preview.frames < 2:
                count = "one frame" if preview.frames else "no frame that can be decoded"
                reason = f"{root}/{path} has {count}, but motion needs two; replace it with a video or remove it."
                unreadable[path] = reason
            else:
                previews[path] = preview
    return previews, unreadable


def _small_classes(clips: Sequence[Clip]) -> list[str]:
    counts = Counter(label for clip in clips for label in clip.labels)
    small = {label: count for label, count in sorted(counts.items()) if count < FEW_CLIPS}
    if not small:
        return []
    shown = ", ".join(f"{label} {count}" for label, count in small.items())
    return [f"fewer than {FEW_CLIPS} clips in {shown}; metrics of such classes are unreliable."]


def _split_errors(clips: Sequence[Clip], settings: params.Dataset) -> list[str]:
    try:
        split_clips(clips, settings)
    except UserError as error:
        return [f"the clips cannot be split into train, val and test: {error}"]
    return []


def _mirrored_classes(clips: Sequence[Clip]) -> list[str]:
    sides = sorted({label for clip in clips for label in clip.labels if names_a_side(label)})
    if not sides:
        return []
    return [
        f"{' and '.join(sides)} distinguish left and right, so clips are not mirrored in training (motion_net.flip) "
        "and the motion network uses directions (motion_net.histogram)."
    ]


def names_a_side(label: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)
    return any(word.lower() in ("left", "right", "leftward", "rightward") for word in words)


def _clips_without_vectors(without_vectors: Sequence[str], reencode: bool) -> list[str]:
    if not without_vectors:
        return []
    shown = f"clips without motion vectors: {len(without_vectors)}, such as {without_vectors[0]}"
    if reencode:
        return [f"{shown}; they are re-encoded in memory (motion.reencode: auto)."]
    return [f"{shown}; they are left out. Set motion.reencode: auto to re-encode them in memory."]


def _linked_folders(folders: Sequence[str]) -> list[str]:
    if not folders:
        return []
    shown = f"folders that are links: {len(folders)}, such as {folders[0]}"
    return [f"{shown}; DVC does not detect changes behind a link: after a change, run `dvc repro --force index`."]


def _unsupported_files(count: int) -> list[str]:
    if not count:
        return []
    endings = ", ".join(OTHER_ENDINGS)
    return [f"videos with unsupported file extensions ({endings}), which are ignored: {count}; convert them."]


def _unreadable_clips(reasons: Mapping[str, str], allowed: float | None) -> list[str]:
    """Return a message about unreadable clips. allowed: dataset.max_failed if they exceed it, otherwise None."""
    if not reasons:
        return []
    more = "" if allowed is None else f", more than dataset.max_failed ({allowed:g}) allows"
    rows = [f"  {reason}" for reason in list(reasons.values())[:_MAX_LISTED]]
    rest = [f"  and {len(reasons) - _MAX_LISTED} more"] if len(reasons) > _MAX_LISTED else []
    advice = "they are left out" if allowed is None else "fix or remove them, or raise it in params.yaml"
    return ["\n".join([f"clips that cannot be read: {len(reasons)}{more}; {advice}:", *rows, *rest])]
