"""params.yaml as frozen dataclasses. Every setting is declared here once, with its type and range.

A key that is unknown, missing, of the wrong type or out of range stops the run before any work, with one sentence.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_type_hints

from mocliplite import sections, yaml_text
from mocliplite.errors import UserError
from mocliplite.sections import require, require_at_least, require_at_most, section

FILE = sections.FILE
# DVC requires every declared dependency to exist: settings that DVC watches name this file instead of staying empty.
NO_PATH = "configs/none"
CLASS_SEPARATOR = "|"  # between the classes of a clip, with dataset.multi_label
View = Literal["plain", "flip", "shift"]

_MAX_WORKERS = 1024
MAX_TIME_LIMIT = 1_000_000  # seconds
_MAX_LR = 10.0


def is_address(root: str) -> bool:
    """Return whether dataset.root is an address such as s3://bucket/clips, and not a folder."""
    return "://" in root


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The clips, and how they are split into train, validation and test."""

    root: str  # folder or address in which the paths of the clips begin; without lists it has a folder per class
    files: str  # what DVC watches of the clips: the root, or a file that `python -m mocliplite manifest` writes
    lists: str  # list of the clips, or folder of official split lists, or NO_PATH
    multi_label: bool  # whether a label of a CSV file names several classes, with "|" between
    split: int  # number of the official split, or of the fold used as test; from 1
    include: str  # glob relative to root; clips that do not match are ignored
    group: str | None  # regular expression; its capture group is the group of a clip, from the path relative to root
    shared_groups: bool  # whether a group name means the same scene or person in all classes, not in its class alone
    folds: int | None  # without listed splits: number of folds; fold `split` is the test fold
    test: float  # without listed splits and folds: fraction of the clips used for test
    val: float  # fraction of the train clips used for validation
    seed: int  # random seed of the folds and of the test and validation splits
    max_failed: float  # fraction of clips that may fail before a stage stops

    def __post_init__(self) -> None:
        require(self.root not in ("", NO_PATH), "dataset.root", self.root, "the folder of the clips")
        if is_address(self.root):
            self._check_address()
        # Otherwise DVC would not notice a changed clip.
        watched = not self.has_manifest or (self.files not in ("", NO_PATH) and not Path(self.files).is_dir())
        require(watched, "dataset.files", self.files, f"{self.root!r}, like dataset.root, or the file of a manifest")
        require_at_least(self, "dataset", split=1, seed=0)
        allowed = not (self.multi_label and self.lists == NO_PATH)
        require(allowed, "dataset.multi_label", self.multi_label, "false without a CSV file in dataset.lists")
        expected = "null or a regular expression with one capture group"
        require(_has_one_capture_group(self.group), "dataset.group", self.group, expected)
        require(self.folds is None or self.folds >= 2, "dataset.folds", self.folds, "null or at least 2")
        highest = self.folds or 1
        if self.lists == NO_PATH:
            require(self.split <= highest, "dataset.split", self.split, f"1 to {highest}, the number of dataset.folds")
        require(0 < self.test < 1, "dataset.test", self.test, "above 0 and below 1")
        require(0 < self.val < 1, "dataset.val", self.val, "above 0 and below 1")
        require(0 <= self.max_failed <= 1, "dataset.max_failed", self.max_failed, "from 0 to 1")

    def _check_address(self) -> None:
        # The settings are committed, so they contain no password. "/" and the path of a clip are appended to the root.
        allowed = not re.search("://[^/]*:[^/]*@", self.root) and not self.root.endswith("/")
        require(allowed, "dataset.root", self.root, "an address without a password and without a slash at its end")
        allowed = self.files not in ("", NO_PATH) and not is_address(self.files)
        expected = f"the file of a manifest, such as clips_manifest.csv, because {self.root} is an address"
        require(allowed, "dataset.files", self.files, expected)

    @property
    def has_manifest(self) -> bool:
        """Whether DVC watches a manifest instead of the folder of the clips."""
        return Path(self.files) != Path(self.root)


@dataclass(frozen=True, kw_only=True)
class Reencode:
    """How a clip is re-encoded in memory before its motion vectors are read."""

    codec: Literal["mpeg4", "h264"]
    gop: int  # frames from one I-frame to the next
    bframes: int  # consecutive B-frames
    size: tuple[int, ...] | None  # [width, height] in pixels; null: the size of the clip

    def __post_init__(self) -> None:
        require_at_least(self, "motion.reencode", gop=2)
        require(0 <= self.bframes <= 16, "motion.reencode.bframes", self.bframes, "from 0 to 16")
        if self.size is not None:
            # MPEG-4 Part 2 stores width and height in 13 bits each.
            allowed = len(self.size) == 2 and all(16 <= edge <= 8190 and edge % 2 == 0 for edge in self.size)
            expected = "null or [width, height], even and from 16 to 8190, such as [340, 256]"
            require(allowed, "motion.reencode.size", list(self.size), expected)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How motion vectors are converted to a motion field."""

    cell_size: Literal[8, 16]  # edge of a cell of the motion field, in pixels
    accumulate: Literal["none", "gop"]  # none: displacement per frame interval; gop: since the last I-frame
    reencode: Literal["auto"] | Reencode | None  # auto: only clips in a codec for which FFmpeg exports no vectors
    interpolate: bool  # fill frames without vectors from the frames before and after
    max_damaged: float  # fraction of the frames of a clip that may be damaged before the clip fails

    def __post_init__(self) -> None:
        require(0 <= self.max_damaged < 1, "motion.max_damaged", self.max_damaged, "at least 0 and below 1")
        # Accumulated motion restarts at every I-frame, so values on its two sides cannot be interpolated.
        allowed = not (self.interpolate and self.accumulate == "gop")
        require(allowed, "motion.interpolate", self.interpolate, "false where motion.accumulate is gop")


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The frozen encoder of keyframes and class names, the keyframes and the prompts."""

    model: str  # Hugging Face hub id, or a local folder in the same format
    revision: str | None  # commit of the hub id; null for a local folder
    files: str  # what DVC watches of the model: its folder, or NO_PATH for a hub id
    features: str  # file or folder of embeddings that were made elsewhere, used instead of the model; or NO_PATH
    prompts: str  # text file with one template per line; {} stands for the class name
    names: str  # text file with display names of classes: folder: name, other name
    frames: int  # keyframes per clip: the centre frames of as many equal segments
    pick: Literal["middle", "key"]  # middle: the centre frame itself; key: the nearest I-frame
    batch: int  # images per forward pass; changes the last bits of the values
    dtype: Literal["float32", "bfloat16"]  # arithmetic of the image encoder
    pickled_weights: bool = False  # whether weights that are pickled alone are read; see docs/security.md

    def __post_init__(self) -> None:
        require(self.model != "", "encoder.model", self.model, "a hub id or a local folder")
        require(self.features != "", "encoder.features", self.features, f"a file, a folder of .npy files, or {NO_PATH}")
        # Otherwise DVC would not notice a changed file in the folder.
        watched = not Path(self.model).is_dir() or Path(self.files) == Path(self.model)
        expected = f"{self.model!r} as well, so that DVC watches the folder encoder.model"
        require(watched, "encoder.files", self.files, expected)
        require_at_least(self, "encoder", frames=1, batch=1)
        require_at_most(self, "encoder", frames=10_000, batch=4096)


@dataclass(frozen=True, kw_only=True)
class MotionNet:
    """The motion network and its training."""

    arch: Literal["motion_histogram", "efficientnet_b0"]
    pretrained: str | None  # hub id or folder of the EfficientNet-B0 weights from which efficientnet_b0 starts
    pretrained_revision: str | None  # commit of the hub id; null for a local folder
    pretrained_files: str  # what DVC watches of it: the folder, or NO_PATH for a hub id or null
    frames: int  # motion fields per clip outside training, one from each of as many equal segments
    segments: int  # the same in training
    crops: Literal[1, 10]  # efficientnet_b0, outside training: crops of a field over which logits are averaged
    rows: int  # height of the network input, in cells; every field is resized to rows x cols
    cols: int  # width of the network input, in cells
    remove_global_motion: bool  # subtract the median motion of each field
    histogram: Literal["boundaries", "directions"]  # what motion_histogram counts: derivatives of the motion, or motion
    width: int  # of motion_histogram: hidden units of each member; the embedding has those of all members
    dropout: float
    precision: Literal["float32", "tf32", "bfloat16"]  # arithmetic of training and embedding, on any device
    lr: float
    weight_decay: float
    label_smoothing: float
    epochs: int
    patience: int | None  # epochs without a lower validation loss after which training stops; None: the last is kept
    batch: int
    flip: bool  # mirror half of the train clips; false where classes differ by left and right
    zoom: float  # motion_histogram, in training: scale by a random factor from e**-zoom to e**zoom
    shift: float  # motion_histogram, in training: translate by up to this fraction of the field
    speed_jitter: float  # motion_histogram, in training: scale the motion by e**-speed_jitter to e**speed_jitter
    temporal_crop: float  # in training: skip up to this fraction of the clip at each end
    views: tuple[View, ...]  # views embedded per clip; the first is plain
    seed: int

    def __post_init__(self) -> None:
        # BatchNorm needs at least two clips per batch.
        require_at_least(self, "motion_net", frames=1, segments=1, rows=1, cols=1, width=1, epochs=1, batch=2, seed=0)
        require_at_most(self, "motion_net", frames=100_000, segments=100_000, rows=1024, cols=1024, width=65_536)
        require_at_most(self, "motion_net", epochs=1_000_000, batch=1_000_000)
        _check_training(self, "motion_net")
        allowed = self.patience is None or 1 <= self.patience <= 1_000_000
        require(allowed, "motion_net.patience", self.patience, "from 1 to 1000000, or null")
        for key in ("zoom", "shift", "speed_jitter"):
            require(0 <= getattr(self, key) <= 1, f"motion_net.{key}", getattr(self, key), "from 0 to 1")
        allowed = 0 <= self.temporal_crop < 0.5
        require(allowed, "motion_net.temporal_crop", self.temporal_crop, "at least 0 and below 0.5")
        watched = self.pretrained is None or not Path(self.pretrained).is_dir()
        watched = watched or Path(self.pretrained_files) == Path(str(self.pretrained))
        wanted = f"{self.pretrained!r} as well, so that DVC watches that folder"
        require(watched, "motion_net.pretrained_files", self.pretrained_files, wanted)
        allowed = self.views[:1] == ("plain",) and len(set(self.views)) == len(self.views)
        require(allowed, "motion_net.views", list(self.views), "plain, optionally followed by flip, shift or both")
        allowed = self.flip or "flip" not in self.views
        require(allowed, "motion_net.views", list(self.views), "without flip where motion_net.flip is false")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The fusion head and its training."""

    hidden: int  # units of the hidden layer
    dropout: float
    lr: float
    weight_decay: float
    # others than random: a linear classifier, to which the hidden layer adds
    start: Literal["random", "ridge", "scores"]
    label_smoothing: float
    epochs: int
    patience: int  # epochs without a lower validation loss after which the training of a seed stops
    batch: int
    pooling: Literal["mean", "attention"]  # of several keyframes: their mean, or weighted by a learned query
    views: Literal["all", "plain"]  # all: train on a random cached view of each clip; plain: on view 0 only
    stream_dropout: float  # fraction of the clips of a batch for which one stream is dropped
    class_weight: Literal["balanced"] | None  # balanced: classes have equal weight, also in the linear probes
    seeds: int  # heads trained, one per random seed

    def __post_init__(self) -> None:
        require_at_least(self, "head", hidden=1, epochs=1, patience=1, batch=1, seeds=1)
        require_at_most(self, "head", hidden=65_536, epochs=1_000_000, patience=1_000_000, batch=1_000_000, seeds=1000)
        _check_training(self, "head")
        require(0 <= self.stream_dropout <= 1, "head.stream_dropout", self.stream_dropout, "from 0 to 1")


def _check_training(settings: MotionNet | Head, name: str) -> None:
    """Raise UserError for a setting that the two trainings have in common."""
    for key in ("dropout", "label_smoothing"):
        require(0 <= getattr(settings, key) < 1, f"{name}.{key}", getattr(settings, key), "at least 0 and below 1")
    require(0 < settings.lr <= _MAX_LR, f"{name}.lr", settings.lr, f"above 0 and at most {_MAX_LR:g}")
    allowed = 0 <= settings.weight_decay <= _MAX_LR
    require(allowed, f"{name}.weight_decay", settings.weight_decay, f"from 0 to {_MAX_LR:g}")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Parallelism and device. These settings change no result, so no stage depends on them."""

    workers: int  # processes that decode clips
    threads: int  # threads of a forward or training pass; 0: one per core
    device: Literal["cpu", "cuda", "auto"]
    engine: Literal["processes", "inline", "dask"]  # inline: in the process of the stage; dask: on a Dask cluster
    # Settings with defaults are newer: older settings files still load.
    scheduler: str | None = None  # of engine dask: address or scheduler file; None: a cluster on this machine
    time_limit: int  # seconds after which decoding a clip is abandoned
    max_pixels: int = 67_108_864  # width times height above which a clip is not decoded
    max_frames: int = 100_000  # number of frames above which a clip is not decoded
    max_memory: int = 4096  # MiB that decoding one clip may use

    def __post_init__(self) -> None:
        require(1 <= self.workers <= _MAX_WORKERS, "compute.workers", self.workers, f"from 1 to {_MAX_WORKERS}")
        require(0 <= self.threads <= _MAX_WORKERS, "compute.threads", self.threads, f"from 0 to {_MAX_WORKERS}")
        require_at_most(self, "compute", time_limit=MAX_TIME_LIMIT)
        require_at_least(self, "compute", time_limit=1, max_pixels=1, max_frames=1, max_memory=64)


# Without a params.yaml, for example for an exported recogniser.
DEFAULT_COMPUTE = Compute(workers=2, threads=0, device="auto", engine="processes", time_limit=300)


@dataclass(frozen=True, kw_only=True)
class Params:
    """All sections of params.yaml."""

    dataset: Dataset
    motion: Motion
    encoder: Encoder
    motion_net: MotionNet
    head: Head
    compute: Compute

    def __post_init__(self) -> None:
        # A clip of several classes has no single weight.
        allowed = self.head.class_weight is None or not self.dataset.multi_label
        require(allowed, "head.class_weight", self.head.class_weight, "null with dataset.multi_label")


def load(path: str | Path = FILE) -> Params:
    """Read and check all sections. Raises UserError for anything that differs from the declarations above."""
    return parse(yaml_text.read(path), path)


def parse(text: str, path: str | Path = FILE) -> Params:
    """Check the text of a settings file. Raises UserError, whose message names path, as load does."""
    given = yaml_text.parse(text, path)
    if not isinstance(given, dict):
        raise UserError(f"{path} contains no settings; copy a file from configs/.")
    return section(Params, "", given)


def keys() -> list[str]:
    """Return the full names of all settings, in the order of declaration."""
    return [f"{name}.{field.name}" for name, kind in get_type_hints(Params).items() for field in fields(kind)]


def _has_one_capture_group(pattern: str | None) -> bool:
    try:
        return pattern is None or re.compile(pattern).groups == 1
    except re.error:
        return False
