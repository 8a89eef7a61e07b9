"""params.yaml as frozen dataclasses. Every knob is declared here once, with its type and range.

A key that is unknown, missing, mistyped or out of range stops the run before any work, in one sentence.
"""

import re
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from mocliplite.errors import UserError

FILE = "params.yaml"
# DVC cannot leave out a dependency whose setting is empty: this file stands where a watched path names nothing.
NO_PATH = "configs/none"
Section = TypeVar("Section")


def require(holds: bool, key: str, value: object, wanted: str) -> None:
    """Raise UserError naming the key unless its value is allowed."""
    if not holds:
        raise UserError(f"{FILE}: {key} is {value!r}; it must be {wanted}.")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Which clips there are, and which of them are for training, validation and test."""

    root: str  # folder with one folder of clips a class
    lists: str  # folder of the official split lists, or NO_PATH
    split: int  # which official split, or which fold is the test fold; from 1
    include: str  # glob below root; clips that do not match are left out
    group: str | None  # regular expression whose first bracket takes the group from the path below root
    folds: int | None  # without lists: cut into this many folds, fold `split` is the test
    test: float  # without lists and folds: share of clips for test
    val: float  # share of the train clips for validation
    seed: int  # of the cut into folds and validation
    max_failed: float  # share of clips that may fail before a stage gives up

    def __post_init__(self) -> None:
        require(self.root not in ("", NO_PATH), "dataset.root", self.root, "the folder that holds a folder a class")
        require(self.split >= 1, "dataset.split", self.split, "at least 1")
        require(_one_bracket(self.group), "dataset.group", self.group, "null or a regular expression with one bracket")
        require(self.folds is None or self.folds >= 2, "dataset.folds", self.folds, "null or at least 2")
        highest = self.folds or 1
        if self.lists == NO_PATH:
            require(self.split <= highest, "dataset.split", self.split, f"1 to {highest}, the number of dataset.folds")
        require(0 < self.test < 1, "dataset.test", self.test, "above 0 and below 1")
        require(0 < self.val < 1, "dataset.val", self.val, "above 0 and below 1")
        require(0 <= self.max_failed <= 1, "dataset.max_failed", self.max_failed, "from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Reencode:
    """How a clip is encoded in memory before its vectors are read."""

    codec: Literal["mpeg4", "h264"]
    gop: int  # frames from one I-frame to the next
    bframes: int  # B-frames in a row
    size: tuple[int, ...] | None  # [width, height] in pixels; null keeps the clip's

    def __post_init__(self) -> None:
        require(self.gop >= 2, "motion.reencode.gop", self.gop, "at least 2")
        require(0 <= self.bframes <= 16, "motion.reencode.bframes", self.bframes, "from 0 to 16")
        if self.size is not None:
            # MPEG-4 Part 2 has 13 bits for each.
            allowed = len(self.size) == 2 and all(16 <= edge <= 8190 and edge % 2 == 0 for edge in self.size)
            wanted = "null or [width, height], even and from 16 to 8190, such as [340, 256]"
            require(allowed, "motion.reencode.size", list(self.size), wanted)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How motion vectors become a field."""

    cell_size: Literal[8, 16]  # edge of a cell of the field, in pixels
    accumulate: Literal["none", "gop"]  # gop: displacement since the last I-frame instead of a frame interval's
    reencode: Literal["auto"] | Reencode | None  # auto: only clips whose codec has no vectors
    interpolate: bool  # fill in frames without vectors from those before and after
    max_damaged: float  # share of a clip's frames that may be damaged before the clip fails

    def __post_init__(self) -> None:
        require(0 <= self.max_damaged < 1, "motion.max_damaged", self.max_damaged, "at least 0 and below 1")
        # Between the last frame of one GOP and the first of the next there is nothing to interpolate.
        holds = not (self.interpolate and self.accumulate == "gop")
        require(holds, "motion.interpolate", self.interpolate, "false where motion.accumulate is gop")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Which CLIP sees which frames."""

    model: str  # hub id, or a local folder in the same format
    revision: str | None  # commit of the hub id; null for a local folder
    files: str  # what DVC watches of the model: its folder, or NO_PATH for a hub id
    prompts: str  # text file of templates, one a line, {} for the class name
    names: str  # text file of what classes are called: folder: name, other name
    frames: int  # keyframes a clip: the middles of this many equal spans
    pick: Literal["middle", "key"]  # exactly the middle, or the nearest I-frame
    batch: int  # images a forward pass; part of the values, in their last bits

    def __post_init__(self) -> None:
        require(self.model != "", "clip.model", self.model, "a hub id or a local folder")
        # Else a changed file in the folder would pass unseen.
        watched = not Path(self.model).is_dir() or Path(self.files) == Path(self.model)
        require(watched, "clip.files", self.files, f"{self.model!r} as well, so that DVC watches the folder clip.model")
        require(self.frames >= 1, "clip.frames", self.frames, "at least 1")
        require(self.batch >= 1, "clip.batch", self.batch, "at least 1")


@dataclass(frozen=True, kw_only=True)
class MotionNet:
    """The network on motion fields, and how it is trained."""

    arch: Literal["motion_histogram", "efficientnet_b0"]
    pretrained: str | None  # hub id or folder of an EfficientNet-B0 that efficientnet_b0 starts from
    frames: int  # fields seen of a clip, one from each of as many equal spans
    segments: int  # the same, in training
    crops: Literal[1, 10]  # of efficientnet_b0: windows of a field whose mean is taken, outside training
    rows: int  # every field is brought to rows x cols cells
    cols: int
    remove_global_motion: bool  # take each field's median motion from it
    width: int  # length of the embedding of arch grid
    dropout: float
    lr: float
    weight_decay: float
    label_smoothing: float
    epochs: int
    patience: int  # epochs without a lower validation loss after which training ends
    batch: int
    flip: bool  # mirror half of the train clips; false where left and right are classes
    zoom: float  # arch grid, in training: scale by up to e**zoom
    shift: float  # by up to this share of the picture
    speed_jitter: float  # motion faster or slower by up to e**pace
    temporal_crop: float  # leave out up to this share of the clip at either end
    views: tuple[Literal["plain", "flip", "shift"], ...]  # embeddings cached for each clip; the first is plain
    seed: int

    def __post_init__(self) -> None:
        for key in ("frames", "segments", "rows", "cols", "width", "epochs", "patience"):
            require(getattr(self, key) >= 1, f"motion_net.{key}", getattr(self, key), "at least 1")
        # BatchNorm needs two clips to normalise by.
        require(self.batch >= 2, "motion_net.batch", self.batch, "at least 2")
        for key in ("dropout", "label_smoothing"):
            value = getattr(self, key)
            require(0 <= value < 1, f"motion_net.{key}", value, "at least 0 and below 1")
        for key in ("zoom", "shift", "speed_jitter"):
            require(0 <= getattr(self, key) <= 1, f"motion_net.{key}", getattr(self, key), "from 0 to 1")
        require(
            0 <= self.temporal_crop < 0.5, "motion_net.temporal_crop", self.temporal_crop, "at least 0 and below 0.5"
        )
        require(self.lr > 0, "motion_net.lr", self.lr, "above 0")
        require(self.weight_decay >= 0, "motion_net.weight_decay", self.weight_decay, "at least 0")
        first = self.views[:1] == ("plain",) and len(set(self.views)) == len(self.views)
        require(first, "motion_net.views", list(self.views), "plain, and after it flip or shift or both")
        mirrors = self.flip or "flip" not in self.views
        require(mirrors, "motion_net.views", list(self.views), "without flip where motion_net.flip is false")


@dataclass(frozen=True, kw_only=True)
class Head:
    """How the fusion head is built and fitted."""

    hidden: int  # units of the hidden layer
    dropout: float
    lr: float
    weight_decay: float
    epochs: int
    patience: int  # epochs without a lower validation loss after which a seed stops
    batch: int
    views: Literal["all", "plain"]  # which of the cached views of train clips a step may see
    stream_dropout: float  # share of clips a step that lack one of the streams
    seeds: int  # heads fitted, from as many random starts

    def __post_init__(self) -> None:
        for key in ("hidden", "epochs", "patience", "batch", "seeds"):
            require(getattr(self, key) >= 1, f"head.{key}", getattr(self, key), "at least 1")
        require(0 <= self.dropout < 1, "head.dropout", self.dropout, "at least 0 and below 1")
        require(0 <= self.stream_dropout <= 1, "head.stream_dropout", self.stream_dropout, "from 0 to 1")
        require(self.lr > 0, "head.lr", self.lr, "above 0")
        require(self.weight_decay >= 0, "head.weight_decay", self.weight_decay, "at least 0")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and how parallel; changes no result, so no stage depends on it."""

    workers: int  # processes that decode
    threads: int  # threads of a forward or training pass; 0: one a core
    device: Literal["cpu", "cuda", "auto"]
    engine: Literal["processes", "inline"]  # inline: in the stage's own process, for debugging
    time_limit: int  # seconds that decoding one clip may take before it is given up

    def __post_init__(self) -> None:
        require(self.workers >= 1, "compute.workers", self.workers, "at least 1")
        require(self.threads >= 0, "compute.threads", self.threads, "at least 0")
        require(self.time_limit >= 1, "compute.time_limit", self.time_limit, "at least 1")


@dataclass(frozen=True, kw_only=True)
class Params:
    """The whole of params.yaml."""

    dataset: Dataset
    motion: Motion
    clip: Clip
    motion_net: MotionNet
    head: Head
    compute: Compute


def load(path: str | Path = FILE) -> Params:
    """Read and check all sections. Raises UserError for anything that is not as declared above."""
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not here; run this in the project's folder.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(given, dict):
        raise UserError(f"{path} holds no settings; copy one from configs/.")
    kinds = get_type_hints(Params)
    _refuse_unknown(given, list(kinds), "")
    sections = {name: section(kind, name, given[name]) for name, kind in kinds.items()}
    return Params(**sections)


def section(kind: type[Section], name: str, given: object) -> Section:
    """Build one section; an unknown, mistyped or missing key is a UserError with the key's full name."""
    if not isinstance(given, dict):
        raise UserError(f"{FILE}: {name} is {given!r}; it must hold the keys {', '.join(get_type_hints(kind))}.")
    types = get_type_hints(kind)
    _refuse_unknown(given, list(types), f"{name}.")
    return kind(**{key: _convert(types[key], f"{name}.{key}", value) for key, value in given.items()})


def keys() -> list[str]:
    """Every setting's full name, in the order of declaration."""
    kinds = get_type_hints(Params)
    return [f"{name}.{field.name}" for name, kind in kinds.items() for field in fields(kind)]


# Settings whose names have changed, by the earlier name.
_RENAMED = {
    "motion.cell": "motion.cell_size",
    "motion_net.camera": "motion_net.remove_global_motion",
    "motion_net.pace": "motion_net.speed_jitter",
    "motion_net.trim": "motion_net.temporal_crop",
    "head.drop_stream": "head.stream_dropout",
}
_RENAMED_VALUES = {("motion_net.arch", "grid"): "motion_histogram"}


def _refuse_unknown(given: dict[str, Any], known: list[str], prefix: str) -> None:
    for key in given:
        if f"{prefix}{key}" in _RENAMED:
            raise UserError(f"{FILE}: {prefix}{key} is now called {_RENAMED[f'{prefix}{key}']}; rename it.")
        if key not in known:
            nearest = get_close_matches(str(key), known, n=1, cutoff=0)[0]
            raise UserError(f"{FILE}: {prefix}{key} is not a setting; the nearest is {prefix}{nearest}.")
    for key in known:
        if key not in given:
            raise UserError(f"{FILE}: {prefix}{key} is missing; add it.")


# PyYAML reads 1e-4 as text, hence the example.
_WANTED = {int: "a whole number such as 256", float: "a number such as 1.0e-4", bool: "true or false", str: "text"}


def _convert(kind: Any, key: str, value: Any) -> Any:
    """The value in its declared type: int, float, bool, str, Literal, a section, `X | Y | None` or `tuple[X, ...]`."""
    if get_origin(kind) in (UnionType, Union):
        if value is None and NoneType in get_args(kind):
            return None
        # Of what is left, a mapping is meant for the one that is a section of its own.
        parts = [part for part in get_args(kind) if part is not NoneType]
        kind = next((part for part in parts if is_dataclass(part) == isinstance(value, dict)), parts[0])
    if isinstance(kind, type) and is_dataclass(kind):
        return section(kind, key, value)
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        renamed = _RENAMED_VALUES.get((key, str(value)))
        near = [renamed] if renamed else get_close_matches(str(value), map(str, choices), n=1)
        hint = f"; {'it is now called' if renamed else 'the nearest is'} {near[0]}" if near else ""
        # Not `in` alone: True equals 1 to Python.
        holds = any(value == choice and type(value) is type(choice) for choice in choices)
        require(holds, key, value, " or ".join(map(str, choices)) + hint)
        return value
    if get_origin(kind) is tuple:
        require(isinstance(value, list), key, value, "a list such as [plain, flip]")
        return tuple(_convert(get_args(kind)[0], key, item) for item in value)
    accepted = (int, float) if kind is float else (kind,)
    # Not isinstance: True is an int to Python.
    require(type(value) in accepted, key, value, _WANTED[kind])
    if kind is float:
        require(abs(value) < float("inf"), key, value, _WANTED[kind])
        return float(value)
    return value


def _one_bracket(pattern: str | None) -> bool:
    try:
        return pattern is None or re.compile(pattern).groups == 1
    except re.error:
        return False
