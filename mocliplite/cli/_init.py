"""A params.yaml for somebody's own clips: what is in the folder, and the settings that follow from it."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mocliplite import params
from mocliplite.cli import _clip_source
from mocliplite.cli._shared import compute
from mocliplite.data.clips import OTHER_ENDINGS, Clip, look_for_clips, named
from mocliplite.data.splits import split_clips
from mocliplite.errors import Failure, UserError
from mocliplite.files import write_text
from mocliplite.motion import inspection
from mocliplite.runtime.crash_safe import crash_safe
from mocliplite.runtime.progress import progress
from mocliplite.video.streams import Limits

TEMPLATE = "configs/folder.yaml"
FEW = 10  # clips of a class, below which a warning is due
_SHOWN = 10  # clips that cannot be read, of which each is named
_SEPARATORS = ("_", "-", " ")


@dataclass(frozen=True)
class Findings:
    """What a folder of clips holds."""

    root: str
    clips: list[Clip]
    group: str | None  # a regular expression that probably takes the group from a path
    codecs: dict[str, int]  # clips by codec
    without: list[str]  # paths of clips that show no vectors
    auto: bool  # whether these are so many that motion.reencode should be auto
    unreadable: dict[str, str]  # reason by path
    warnings: list[str]
    stops: list[str]  # what `dvc repro` would stop at


def look(root: str) -> Findings:
    """Look at every clip of root/<class>/**. Raises UserError for a folder that is no data set."""
    if not Path(root).is_dir():
        raise UserError(f"{root} is not a folder; give the folder that holds a folder of clips for each class.")
    settings = replace(params.load(TEMPLATE).dataset, root=root, group=None)
    found = look_for_clips(settings)
    group = guess_group([path for paths in found.videos.values() for path in paths])
    settings = replace(settings, group=group)
    clips = named(found, settings)
    if not clips:
        raise UserError(found.refused[0])
    seen, unreadable = _glances(root, clips)
    without = [path for path, glance in seen.items() if not glance.vectors]
    auto = len(without) > settings.max_failed * len(clips)
    spoilt = len(unreadable) > settings.max_failed * len(clips)
    bad = _unreadable(unreadable, settings.max_failed if spoilt else None)
    beside = [*_linked(found.linked), *_untaken(found.untaken)]
    warnings = [*_few(clips), *_mirrored(clips), *_without(without, auto), *beside, *([] if spoilt else bad)]
    stops = [*found.refused, *_cut(clips, settings), *(bad if spoilt else [])]
    codecs = dict(Counter(glance.codec for glance in seen.values()).most_common())
    return Findings(root, clips, group, codecs, without, auto, unreadable, warnings, stops)


def _glances(root: str, clips: Sequence[Clip]) -> tuple[dict[str, inspection.Glance], dict[str, str]]:
    """What the clips that can be used show, and why the others cannot, by path."""
    settings = compute()
    look_at = crash_safe(inspection.glance, settings)
    seen: dict[str, inspection.Glance] = {}
    unreadable: dict[str, str] = {}
    with progress("init", len(clips), "clip") as bar:
        for clip in clips:
            bar.update()
            path = f"{root}/{clip.path}"
            glance = look_at(path, Limits.of(settings))
            if isinstance(glance, Failure):
                unreadable[clip.path] = glance.reason
            elif glance.frames < 2:
                why = "one frame only" if glance.frames else "no frame that decodes"
                unreadable[clip.path] = f"{path} has {why}, and motion needs two; remove it or replace it by a video."
            else:
                seen[clip.path] = glance
    return seen, unreadable


def find_clip(model: str | None) -> _clip_source.Finding:
    """Where the CLIP will come from, None being the template's. Raises UserError for one that is nowhere."""
    usual = params.load(TEMPLATE).clip
    found = (
        _clip_source.find_clip(usual.model, usual.revision)
        if model in (None, usual.model)
        else _clip_source.find_clip(model)
    )
    if found.mark == "BAD":
        raise UserError(f"--clip: {found.sentence}")
    return found


def next_step(out: Path, found: Findings, clip: _clip_source.Finding) -> str:
    """What is to be done after the file was written, as the end of a sentence."""
    steps = ["mend what `stops` names"] if found.stops else []
    if out != Path(params.FILE):
        steps.append(f"copy it to {params.FILE}, which DVC reads")
    does = "now does everything" if clip.mark == "ok" and not steps else "does everything"
    return ", then ".join([*steps, f"`dvc repro` {does if clip.mark == 'ok' else 'gets CLIP and does the rest'}."])


def guess_group(paths: Sequence[str]) -> str | None:
    """The part of the names that probably tells scene or person, as a pattern for dataset.group; None: no such part.

    It is the folder below the class where all clips have one, or the part of the file's name with the most values
    each of which comes in at least half of the classes. Where only one part changes within a class, that counts its
    clips.
    """
    if all(path.count("/") >= 2 for path in paths):
        return "^[^/]+/([^/]+)/"
    best, values = None, 2
    for pattern in _candidates(paths):
        found = [(match[1], path.split("/")[0]) for path in paths if (match := re.search(pattern, path))]
        groups, classes = {value for value, _ in found}, {label for _, label in found}
        shared = len(set(found)) / max(1, len(groups))  # classes that a value comes in, on average
        if len(found) == len(paths) > len(groups) > values and shared >= max(2, len(classes) / 2):
            best, values = pattern, len(groups)
    return best


def _candidates(paths: Sequence[str]) -> Iterable[str]:
    """A pattern for each part of the names, counted from the end; none where fewer than two change within a class."""
    stems = [Path(path).stem for path in paths]
    separator = max(_SEPARATORS, key=lambda mark: sum(mark in stem for stem in stems))
    parts = [stem.split(separator)[::-1] for stem in stems]
    common = min(map(len, parts))
    classes: dict[str, list[list[str]]] = {}
    for path, part in zip(paths, parts, strict=True):
        classes.setdefault(path.split("/")[0], []).append(part)
    # Within a class: a part that says the class again tells no scene.
    changing = [
        place for place in range(common) if any(len({part[place] for part in own}) > 1 for own in classes.values())
    ]
    if len(changing) < 2:
        return
    kinds = [
        r"\d+" if all(part[place].isdecimal() for part in parts) else f"[^{separator}/]+" for place in range(common)
    ]
    for place in changing:
        after = "".join(f"{separator}{kind}" for kind in kinds[:place][::-1])
        yield rf"({kinds[place]}){after}\.\w+$"


def settings_for(found: Findings, model: str | None) -> dict[str, object]:
    """The settings that differ from the template, by full name.

    model: a CLIP's folder, which may be made later, or its hub id; None for the template's.
    """
    values: dict[str, object] = {"dataset.root": found.root, "dataset.group": found.group}
    if any(_side(clip.label) for clip in found.clips):
        values |= {"motion_net.flip": False, "motion_net.views": ["plain"]}
    if found.auto:
        values["motion.reencode"] = "auto"
    if model not in (None, params.load(TEMPLATE).clip.model):
        files = params.NO_PATH if _clip_source.is_hub_id(model) else model
        values |= {"clip.model": model, "clip.revision": None, "clip.files": files}
    return values


def write(path: Path, found: Findings, model: str | None) -> None:
    """Write a complete params file for the findings, with the warnings on top."""
    head = f"Settings for the clips in {found.root}, from `python -m mocliplite init`; every one has its remark."
    remarks = [head, *(f"Mind: {warning}" for warning in [*found.stops, *found.warnings])]
    template = Path(TEMPLATE).read_text(encoding="utf-8")
    body = template[template.index("dataset:\n") :]
    text = "\n".join([*map(_remark, remarks), "", fill(body, settings_for(found, model))])
    if params.parse(text, path).dataset.root != found.root or not _is_text(found.root):
        raise UserError(f"{found.root!a} cannot be written as YAML; rename the folder.")
    write_text(path, text)


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _remark(text: str) -> str:
    """A text as YAML's comments: what would end a line or is no text is written as Python writes it."""
    plain = "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
    return "# " + plain.replace("\n", "\n# ")


def fill(template: str, values: Mapping[str, object]) -> str:
    """The text of a params file with some settings changed, comments kept.

    values: by full name, such as dataset.root. Raises KeyError for a name that the template lacks.
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
    """The findings as lines of text."""
    classes = Counter(clip.label for clip in found.clips)
    width = max(map(len, classes))
    lines = [f"{found.root}: {len(found.clips)} clips in {len(classes)} classes"]
    lines += [f"  {label:{width}}  {count}" for label, count in sorted(classes.items())]
    lines += [f"codecs: {', '.join(f'{codec} {count}' for codec, count in found.codecs.items())}"]
    if found.group is None:
        lines += [
            "groups: the names tell none, so every clip is its own; set dataset.group if some clips belong together"
        ]
    else:
        first = {clip.group: clip.path for clip in reversed(found.clips)}
        examples = ", ".join(f"{first[group]} -> {group}" for group in sorted(first)[:2])
        lines += [f"groups: {found.group} finds {len(first)}, such as {examples}; a guess, check it"]
    lines += [f"mind: {warning}" for warning in found.warnings]
    return "\n".join([*lines, *(f"stops: {reason}" for reason in found.stops)])


def _few(clips: Sequence[Clip]) -> list[str]:
    counts = Counter(clip.label for clip in clips)
    few = {label: count for label, count in sorted(counts.items()) if count < FEW}
    if not few:
        return []
    shown = ", ".join(f"{label} {count}" for label, count in few.items())
    return [f"fewer than {FEW} clips in {shown}; figures of such classes say little."]


def _cut(clips: Sequence[Clip], settings: params.Dataset) -> list[str]:
    try:
        split_clips(clips, settings)
    except UserError as error:
        return [f"the clips cannot be cut into train, val and test: {error}"]
    return []


def _mirrored(clips: Sequence[Clip]) -> list[str]:
    sides = sorted({clip.label for clip in clips if _side(clip.label)})
    if not sides:
        return []
    return [f"{' and '.join(sides)} tell left from right, so clips are not mirrored in training (motion_net.flip)."]


def _side(label: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)
    return any(word.lower() in ("left", "right", "leftward", "rightward") for word in words)


def _without(without: Sequence[str], auto: bool) -> list[str]:
    if not without:
        return []
    shown = f"{len(without)} clips show no motion vectors, such as {without[0]}"
    if auto:
        return [f"{shown}; they are encoded again in memory to get some (motion.reencode: auto)."]
    return [f"{shown}; so few are left out, unless you set motion.reencode: auto, which encodes them again in memory."]


def _linked(folders: Sequence[str]) -> list[str]:
    if not folders:
        return []
    shown = f"{len(folders)} folders are links, such as {folders[0]}"
    return [f"{shown}; DVC does not see changes behind a link: after one run `dvc repro --force index`."]


def _untaken(count: int) -> list[str]:
    if not count:
        return []
    return [f"{count} videos are not taken, for their endings ({', '.join(OTHER_ENDINGS)}); convert or rename them."]


def _unreadable(reasons: Mapping[str, str], allowed: float | None) -> list[str]:
    """What is wrong with clips that cannot be read; allowed: dataset.max_failed, where they are a larger share."""
    if not reasons:
        return []
    more = "" if allowed is None else f", more than dataset.max_failed ({allowed:g}) allows"
    rows = [f"  {reason}" for reason in list(reasons.values())[:_SHOWN]]
    rest = [f"  and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    wanted = "they are left out" if allowed is None else "mend or remove them, or raise it in params.yaml"
    return ["\n".join([f"{len(reasons)} clips cannot be read{more}; {wanted}:", *rows, *rest])]
