"""A params.yaml for a folder of clips: inspection of the folder, and the settings that follow from it."""

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mocliplite import params
from mocliplite.cli import _clip_source
from mocliplite.cli._group_guess import guess_group
from mocliplite.cli._shared import compute
from mocliplite.data.clips import Clip
from mocliplite.data.folders import clips_of_scan, scan_clips
from mocliplite.data.groups import are_shared
from mocliplite.data.names import OTHER_ENDINGS, name_problem
from mocliplite.data.splits import split_clips
from mocliplite.errors import Failure, UserError
from mocliplite.files import write_text
from mocliplite.motion import inspection
from mocliplite.runtime.crash_safe import crash_safe
from mocliplite.runtime.progress import progress
from mocliplite.video.streams import Limits

TEMPLATE = "configs/folder.yaml"
FEW_CLIPS = 10  # clips per class; below it there is a warning
_MAX_LISTED = 10  # unreadable clips named in a warning


@dataclass(frozen=True)
class Findings:
    """The result of the inspection of a folder of clips."""

    root: str
    clips: list[Clip]
    group: str | None  # a regular expression that probably captures the group in a path
    shared_groups: bool  # whether classes seem to share the names of groups
    codecs: dict[str, int]  # number of clips by codec
    without_vectors: list[str]  # paths of clips without motion vectors
    reencode: bool  # whether they are so many that motion.reencode should be auto
    unreadable: dict[str, str]  # reason by path
    warnings: list[str]
    stops: list[str]  # problems that stop `dvc repro`


def inspect_folder(root: str) -> Findings:
    """Inspect every clip in root/<class>/**. Raises UserError for a folder that is not a data set."""
    if not Path(root).is_dir():
        raise UserError(f"{root} is not a folder; give the folder that has one subfolder of clips per class.")
    settings = replace(params.load(TEMPLATE).dataset, root=root, group=None)
    scan = scan_clips(settings)
    group = guess_group([path for paths in scan.videos.values() for path in paths])
    clips = clips_of_scan(scan, replace(settings, group=group))
    if not clips:
        raise UserError(scan.errors[0])
    settings = replace(settings, group=group, shared_groups=are_shared(clips))
    previews, unreadable = _previews(root, clips)
    without_vectors = [path for path, preview in previews.items() if not preview.vectors]
    reencode = len(without_vectors) > settings.max_failed * len(clips)
    too_many_unreadable = len(unreadable) > settings.max_failed * len(clips)
    unreadable_list = _unreadable_clips(unreadable, settings.max_failed if too_many_unreadable else None)
    other_warnings = [*_linked_folders(scan.linked_folders), *_unsupported_files(scan.unsupported)]
    warnings = [
        *_small_classes(clips),
        *_mirrored_classes(clips),
        *_clips_without_vectors(without_vectors, reencode),
        *other_warnings,
        *([] if too_many_unreadable else unreadable_list),
    ]
    stops = [*scan.errors, *_split_errors(clips, settings), *(unreadable_list if too_many_unreadable else [])]
    codecs = dict(Counter(preview.codec for preview in previews.values()).most_common())
    shared = settings.shared_groups
    return Findings(root, clips, group, shared, codecs, without_vectors, reencode, unreadable, warnings, stops)


def _previews(root: str, clips: Sequence[Clip]) -> tuple[dict[str, inspection.Preview], dict[str, str]]:
    """Return the previews of usable clips, and the reasons why the others cannot be used, by path."""
    settings = compute()
    preview_safely = crash_safe(inspection.preview, settings)
    previews: dict[str, inspection.Preview] = {}
    unreadable: dict[str, str] = {}
    with progress("init", len(clips), "clip") as bar:
        for clip in clips:
            bar.update()
            path = f"{root}/{clip.path}"
            preview = preview_safely(path, Limits.of(settings))
            if isinstance(preview, Failure):
                unreadable[clip.path] = preview.reason
            elif preview.frames < 2:
                count = "one frame" if preview.frames else "no frame that can be decoded"
                unreadable[clip.path] = (
                    f"{path} has {count}, but motion needs two; replace it with a video or remove it."
                )
            else:
                previews[clip.path] = preview
    return previews, unreadable


def find_clip(model: str | None) -> _clip_source.Finding:
    """Return where the encoder is, None being that of the template. Raises UserError if it cannot be found."""
    defaults = params.load(TEMPLATE).encoder
    found = (
        _clip_source.find_clip(defaults.model, defaults.revision)
        if model in (None, defaults.model)
        else _clip_source.find_clip(model)
    )
    if found.mark == "BAD":
        raise UserError(f"--clip: {found.sentence}")
    return found


def next_step(out: Path, found: Findings, clip: _clip_source.Finding) -> str:
    """Return what to do after the file has been written, as the end of a sentence."""
    steps = ["fix the problems marked `stops`"] if found.stops else []
    if out != Path(params.FILE):
        steps.append(f"copy it to {params.FILE}, which DVC reads")
    action = "run `dvc repro`" if clip.mark == "ok" else "run `dvc repro`, which also downloads or creates the encoder"
    return ", then ".join([*steps, f"{action}."])


def settings_for(found: Findings, model: str | None) -> dict[str, object]:
    """Return the settings that differ from the template, by full name.

    model: the folder of a checkpoint, which need not exist yet, or its hub id; None for that of the template.
    """
    values: dict[str, object] = {"dataset.root": found.root, "dataset.group": found.group}
    values["dataset.shared_groups"] = found.shared_groups
    if any(_names_a_side(clip.label) for clip in found.clips):
        values |= {"motion_net.flip": False, "motion_net.views": ["plain"], "motion_net.histogram": "directions"}
    if found.reencode:
        values["motion.reencode"] = "auto"
    if model not in (None, params.load(TEMPLATE).encoder.model):
        files = params.NO_PATH if _clip_source.is_hub_id(model) else model
        values |= {"encoder.model": model, "encoder.revision": None, "encoder.files": files}
    return values


def write(path: Path, found: Findings, model: str | None) -> None:
    """Write a complete params file for the findings, with the warnings as comments at the top."""
    head = f"Settings for the clips in {found.root}, from `python -m mocliplite init`. Comments explain them."
    comments = [head, *(f"Warning: {warning}" for warning in [*found.stops, *found.warnings])]
    template = Path(TEMPLATE).read_text(encoding="utf-8")
    body = template[template.index("dataset:\n") :]
    text = "\n".join([*map(_comment, comments), "", fill(body, settings_for(found, model))])
    if problem := name_problem(found.root):
        raise UserError(f"{found.root!a} {problem}")
    if params.parse(text, path).dataset.root != found.root:
        raise UserError(f"{found.root!a} cannot be written as YAML; rename the folder.")
    write_text(path, text)


def _comment(text: str) -> str:
    """Return a text as YAML comments, with unprintable characters as escape sequences of Python."""
    plain = "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text
    )
    return "# " + plain.replace("\n", "\n# ")


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return the text of a params file with some settings changed. Comments are preserved.

    values: by full name, such as dataset.root. Raises KeyError for a name that is not in the template.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10**6
    yaml.representer.add_representer(type(None), _represent_null)
    filled = yaml.load(template)
    for key, value in values.items():
        section, _, name = key.partition(".")
        if name not in filled[section]:
            raise KeyError(f"the template has no {key}")
        filled[section][name] = CommentedSeq(value) if isinstance(value, list) else _quoted(value)
        if isinstance(value, list):
            filled[section][name].fa.set_flow_style()
    text = io.StringIO()
    yaml.dump(filled, text)
    return text.getvalue()


def _quoted(value: object) -> object:
    """Quote text with control characters or unusual line ends, which YAML preserves only as escape sequences."""
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not value.isprintable() else value


def _represent_null(representer: RoundTripRepresenter, _: None) -> object:
    """Write null, which ruamel.yaml would leave empty."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def describe(found: Findings) -> str:
    """Return the findings as lines of text."""
    classes = Counter(clip.label for clip in found.clips)
    width = max(map(len, classes))
    lines = [f"{found.root}: {len(found.clips)} clips in {len(classes)} classes"]
    lines += [f"  {label:{width}}  {count}" for label, count in sorted(classes.items())]
    lines += [f"codecs: {', '.join(f'{codec} {count}' for codec, count in found.codecs.items())}"]
    if found.group is None:
        lines += [
            "groups: none found in the names, so every clip is a group; set dataset.group if some clips belong together"
        ]
    else:
        first = {
            clip.group if found.shared_groups else f"{clip.label}/{clip.group}": clip.path
            for clip in reversed(found.clips)
        }
        examples = ", ".join(f"{first[group]} -> {group}" for group in sorted(first)[:2])
        scope = "shared by all classes" if found.shared_groups else "each of one class"
        lines += [f"groups: {found.group} finds {len(first)}, {scope}, such as {examples}; this is a guess, check it"]
    lines += [f"warning: {warning}" for warning in found.warnings]
    return "\n".join([*lines, *(f"stops: {reason}" for reason in found.stops)])


def _small_classes(clips: Sequence[Clip]) -> list[str]:
    counts = Counter(clip.label for clip in clips)
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
    sides = sorted({clip.label for clip in clips if _names_a_side(clip.label)})
    if not sides:
        return []
    return [
        f"{' and '.join(sides)} distinguish left and right, so clips are not mirrored in training (motion_net.flip) "
        "and the motion network uses directions (motion_net.histogram)."
    ]


def _names_a_side(label: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)
    return any(word.lower() in ("left", "right", "leftward", "rightward") for word in words)


def _clips_without_vectors(without_vectors: Sequence[str], reencode: bool) -> list[str]:
    if not without_vectors:
        return []
    shown = f"{len(without_vectors)} clips have no motion vectors, such as {without_vectors[0]}"
    if reencode:
        return [f"{shown}; they are re-encoded in memory (motion.reencode: auto)."]
    return [f"{shown}; they are left out. Set motion.reencode: auto to re-encode them in memory."]


def _linked_folders(folders: Sequence[str]) -> list[str]:
    if not folders:
        return []
    shown = f"{len(folders)} folders are links, such as {folders[0]}"
    return [f"{shown}; DVC does not detect changes behind a link: after a change, run `dvc repro --force index`."]


def _unsupported_files(count: int) -> list[str]:
    if not count:
        return []
    endings = ", ".join(OTHER_ENDINGS)
    return [f"{count} videos are ignored, because their file extensions ({endings}) are not supported; convert them."]


def _unreadable_clips(reasons: Mapping[str, str], allowed: float | None) -> list[str]:
    """Return a message about unreadable clips. allowed: dataset.max_failed if they exceed it, otherwise None."""
    if not reasons:
        return []
    more = "" if allowed is None else f", more than dataset.max_failed ({allowed:g}) allows"
    rows = [f"  {reason}" for reason in list(reasons.values())[:_MAX_LISTED]]
    rest = [f"  and {len(reasons) - _MAX_LISTED} more"] if len(reasons) > _MAX_LISTED else []
    advice = "they are left out" if allowed is None else "fix or remove them, or raise it in params.yaml"
    return ["\n".join([f"{len(reasons)} clips cannot be read{more}; {advice}:", *rows, *rest])]
