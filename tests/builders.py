"""Test data: settings, clips, split lists and motion stores, in memory and in files; messages of user errors."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from mocliplite import params
from mocliplite.cli._main import main
from mocliplite.data.clips import Clip
from mocliplite.errors import UserError, run
from mocliplite.store import layout, shards

PLAIN = params.Motion(cell_size=8, accumulate="none", reencode=None, interpolate=False, max_damaged=0.1)
CHECKOUT = Path(__file__).parents[1]
UCF101_LISTS = CHECKOUT.parent / "shared/data/ucf101_splits"

# A very small motion network and a short training.
NET = params.MotionNet(
    arch="motion_histogram",
    pretrained=None,
    pretrained_revision=None,
    pretrained_files="configs/none",
    frames=4,
    segments=4,
    crops=1,
    rows=6,
    cols=8,
    remove_global_motion=False,
    histogram="directions",
    width=6,
    dropout=0.5,
    precision="float32",
    lr=0.01,
    weight_decay=0.01,
    label_smoothing=0.1,
    epochs=4,
    patience=4,
    batch=8,
    flip=True,
    zoom=0.1,
    shift=0.1,
    speed_jitter=0.1,
    temporal_crop=0.1,
    views=("plain",),
    seed=0,
)


def settings_of(**changes):
    default = params.Dataset(
        root="root",
        files="root",
        lists=params.NO_PATH,
        multi_label=False,
        split=1,
        include="**/*",
        group=None,
        shared_groups=True,
        folds=None,
        test=0.25,
        val=0.25,
        seed=0,
        max_failed=0.02,
    )
    return replace(default, **{"files": changes.get("root", "root")} | changes)


def put(folder, files):
    for name, text in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def put_clips(*paths):
    put("root", {path: path for path in paths})


def clip_of(path, group="g", index=0):
    return Clip(path.rpartition(".")[0].replace("/", "__"), path, path.split("/")[0], (index,), group, 1, "0")


def ucf101(additions=(), **settings):
    """Write UCF101 lists of two classes, groups g1..g5 with two clips each, g1 for test; return clips and settings.

    additions maps a list file to text that is appended to it.
    """
    clips = [
        clip_of(f"{label}/v_{group}_c{i}.avi", group, index)
        for index, label in enumerate(["Run", "Hop"])
        for group in ("g1", "g2", "g3", "g4", "g5")
        for i in (1, 2)
    ]
    put("lists", {"classInd.txt": "1 Run\n2 Hop\n"})
    put("lists", {"testlist01.txt": "".join(f"{clip.path}\n" for clip in clips if clip.group == "g1")})
    train = "".join(f"{clip.path} {clip.index + 1}\n" for clip in clips if clip.group != "g1")
    put("lists", {"trainlist01.txt": train})
    for name, text in dict(additions).items():
        with Path("lists", name).open("a") as file:
            file.write(text)
    return clips, settings_of(**{"lists": "lists", "group": r"_(g\d)_", "shared_groups": False} | settings)


def hmdb51(changes=(), **settings):
    """Write HMDB51 lists of two classes, clips 0-4 train, 5 and 6 test, 7 neither; return clips and settings.

    changes maps a list file to the text that replaces it.
    """
    names = [f"#2 (x)_{i}.avi" for i in range(8)]
    lines = "".join(f"{name} {number} \n" for name, number in zip(names, [1, 1, 1, 1, 1, 2, 2, 0], strict=True))
    put("lists", {f"{label}_test_split{n}.txt": lines for label in ("brush_hair", "climb") for n in (1, 2)})
    put("lists", dict(changes))
    clips = [clip_of(f"{label}/{name}", name) for label in ("brush_hair", "climb") for name in names]
    return clips, settings_of(**{"lists": "lists", "shared_groups": False} | settings)


def sentence_of(call, *arguments):
    """Return the message of the UserError that the call raises."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    return str(error.value)


def put_params(**changes):
    settings = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    settings["dataset"] = {**vars(settings_of()), "files": changes.get("root", "root"), **changes}
    Path("params.yaml").write_text(yaml.safe_dump(settings))


def set_params(**sections):
    """Change settings in params.yaml of the working directory."""
    given = yaml.safe_load(Path("params.yaml").read_text())
    for section, values in sections.items():
        given[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(given))


def run_python(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def run_command(*words):
    """Run a command of the command line in this process, which is faster; return what run_python would."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            run(lambda: main(words), status=2)
            status = 0
        except SystemExit as stopped:
            status = stopped.code
    return subprocess.CompletedProcess(words, status, out.getvalue(), errors.getvalue())


def weights(module):
    """Return the bytes of every tensor of a torch module, by name."""
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def look_for_few_shards(monkeypatch):
    """Look for shards of few other numbers. Up to 16,384, as the stores do, it takes a second per run of a stage."""
    monkeypatch.setattr(layout, "MOST_SHARDS", 64)


def write_motion(folder, clips, kind=None):
    """Write a motion store; clips maps an id to int8 [T, rows, cols, 2], kind to frame types, by default P-frames."""
    for path, ids in layout.ids_by_path(folder, "motion", clips).items():
        records = {
            clip_id: shards.Record(
                {
                    "vectors": clips[clip_id],
                    "kind": (kind or {}).get(clip_id, np.ones(len(clips[clip_id]), dtype=np.uint8)),
                    "time": np.arange(len(clips[clip_id])) / 25,
                },
                {"height": 8 * clips[clip_id].shape[1], "width": 8 * clips[clip_id].shape[2]},
            )
            for clip_id in ids
        }
        shard = shards.Shard(records, {}, dict.fromkeys(ids, "f"))
        shards.write_shard(path, "motion", {}, shard)
