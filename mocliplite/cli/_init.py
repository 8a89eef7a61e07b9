"""The params.yaml that `init` writes: the template with the settings that follow from what was found."""

import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mocliplite import params
from mocliplite.cli import _clip_source
from mocliplite.cli._findings import TEMPLATE, Findings, names_a_side
from mocliplite.data import index
from mocliplite.data.groups import group_of
from mocliplite.data.names import name_problem
from mocliplite.encoders.checkpoints import has_pickles_alone
from mocliplite.errors import UserError
from mocliplite.files import write_text

_PLACE = ("dataset.root", "dataset.files", "dataset.lists")  # what the arguments of `init` say


def find_clip(model: str | None) -> _clip_source.Finding:
    """Return where the encoder is, None being that of the template. Raises UserError if it cannot be found."""
    defaults = params.load(TEMPLATE).encoder
    found = (
        _clip_source.find_clip(defaults.model, defaults.revision)
        if model in (None, defaults.model)
        else _clip_source.find_clip(model, pickled=True)
    )
    if found.mark == "BAD":
        raise UserError(f"--clip: {found.sentence}")
    if model is not None and Path(model).is_dir() and has_pickles_alone(Path(model)):
        advice = "set encoder.pickled_weights to true if you trust who made it"
        return replace(found, sentence=f"{found.sentence}, but its weights are pickled; {advice}")
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
    keys = ("root", "files", "lists", "multi_label", "group", "shared_groups")
    values: dict[str, object] = {f"dataset.{key}": getattr(found.dataset, key) for key in keys}
    if any(names_a_side(label) for clip in found.clips for label in clip.labels):
        values |= {"motion_net.flip": False, "motion_net.views": ["plain"], "motion_net.histogram": "directions"}
    if found.reencode:
        values["motion.reencode"] = "auto"
    if model not in (None, params.load(TEMPLATE).encoder.model):
        files = params.NO_PATH if _clip_source.is_hub_id(model) else model
        values |= {"encoder.model": model, "encoder.revision": None, "encoder.files": files}
    return values


def write(path: Path, found: Findings, model: str | None) -> list[str]:
    """Write a complete params file for the findings, with the warnings as comments at the top.

    Returns lines that say which settings of the file before are not kept.
    """
    root = found.dataset.root
    head = f"Settings for the clips in {_source(found)}, from `python -m mocliplite init`. Comments explain them."
    comments = [head, *(f"Warning: {warning}" for warning in [*found.stops, *found.warnings])]
    template = Path(TEMPLATE).read_text(encoding="utf-8")
    body = template[template.index("dataset:\n") :]
    text = "\n".join([*map(_comment, comments), "", fill(body, settings_for(found, model))])
    if problem := name_problem(root):
        raise UserError(f"{root!a} {problem}")
    settings = params.parse(text, path)
    if settings.dataset.root != root:
        raise UserError(f"{root!a} cannot be written as YAML; rename the folder.")
    lines = _not_kept(path, settings)
    write_text(path, text)
    return lines


def _not_kept(path: Path, settings: params.Params) -> list[str]:
    """Return lines with the settings of a file that get another value, other than the place of the clips."""
    if not path.exists():
        return []
    try:
        before = asdict(params.load(path))
    except UserError as error:
        return [f"the old file could not be read ({str(error).rstrip('.')}); its settings are not kept"]
    lines = [
        f"  {section}.{key}: {json.dumps(before[section][key])}, now {json.dumps(value)}"
        for section, values in asdict(settings).items()
        for key, value in values.items()
        if value != before[section][key] and f"{section}.{key}" not in _PLACE
    ]
    return [f"settings of the old {path} that are not kept:", *lines] if lines else []


def write_manifest(settings: params.Dataset) -> str:
    """Write the manifest that DVC watches instead of dataset.root, and return a sentence that says so."""
    index.update_manifest(settings)
    reason = f"wrote {settings.files}, which DVC watches, because {settings.root} contains the project"
    return f"{reason}; run `python -m mocliplite manifest` after clips change"


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
    classes = Counter(label for clip in found.clips for label in clip.labels)
    width = max(map(len, classes))
    lines = [f"{_source(found)}: {len(found.clips)} clips in {len(classes)} classes"]
    lines += [f"  {label:{width}}  {count}" for label, count in sorted(classes.items())]
    if found.dataset.multi_label:
        several = sum(len(clip.labels) > 1 for clip in found.clips)
        without = sum(not clip.labels for clip in found.clips)
        lines += [f"labels: clips with several classes: {several}, with none: {without} (dataset.multi_label: true)"]
    lines += [f"codecs: {', '.join(f'{codec} {count}' for codec, count in found.codecs.items())}"]
    groups = {clip.group for clip in found.clips}
    if found.dataset.group is None and len(groups) < len(found.clips):
        lines += [f"groups: {len(groups)}, given by the list or the files of segments"]
    elif found.dataset.group is None:
        lines += [
            "groups: no part of the names looks like a group, so every clip is a group; set dataset.group if some "
            "clips belong together"
        ]
    else:
        fitting = [clip for clip in found.clips if re.search(found.dataset.group, clip.path)]
        first = {group_of(clip, found.dataset): clip.path for clip in reversed(fitting)}
        examples = ", ".join(f"{first[group]} -> {group}" for group in sorted(first)[:2])
        scope = "shared by all classes" if found.dataset.shared_groups else "each of one class"
        lines += [
            f"groups: {found.dataset.group} finds {len(first)}, {scope}, such as {examples}; this is a guess, check it"
        ]
    lines += [f"warning: {warning}" for warning in found.warnings]
    return "\n".join([*lines, *(f"stops: {reason}" for reason in found.stops)])


def _source(found: Findings) -> str:
    """Return the folder or the list that was inspected."""
    return found.dataset.root if found.dataset.lists == params.NO_PATH else found.dataset.lists
