"""info, verify, export-store and doctor, and what a store's README.md tells a stranger."""

import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders import CHECKOUT, run_python, sentence_of
from project import sh
from stores import IDS, KINDS, build, flip, record, shard_of

from mocliplite import params
from mocliplite.cli import _clip_source, _doctor
from mocliplite.files import write_rows
from mocliplite.store import schema
from mocliplite.store.export import export_store
from mocliplite.store.info import describe

pytestmark = pytest.mark.usefixtures("folder")
every_kind = pytest.mark.parametrize("kind", KINDS)


def command(*arguments):
    done = run_python("-m", "mocliplite", *arguments)
    assert "Traceback" not in done.stderr
    return done


@every_kind
def test_info_tells_kind_clips_arrays_settings_producer_and_failures(kind):
    build("s", kind, failed=["clip03"])
    told = describe("s")
    for line in (
        f"kind        {kind}",
        "29 clips",
        "1 failures",
        f"in {schema.SHARDS[kind]} shards",
        f"python -m {schema.STAGES[kind]}",
        'settings    {"cell_size": 8, "views": ["plain"]}',
        "failure     clip03: clip03 has no frames.",
    ):
        assert line in told


def test_info_of_motion_tells_frames_and_sizes():
    build("s", "motion")
    total = sum(len(record("motion", key).arrays["kind"]) for key in IDS)
    assert f"30 clips, {total} frames, 0 failures" in describe("s")
    assert "64x48: 30 clips" in describe("s")


def test_info_on_the_command_line_goes_on_after_what_is_no_store():
    build("s", "keyframes")
    done = command("info", "nowhere", "s")
    assert done.returncode == 2
    assert "error: nowhere is not a feature store" in done.stderr
    assert "kind        keyframes" in done.stdout


def test_verify_says_that_all_is_well_or_names_what_is_damaged():
    build("s", "motion")
    build("t", "keyframes")
    done = command("verify", "s", "t")
    assert (done.returncode, done.stdout) == (0, "s: no damage found\nt: no damage found\n")
    flip(shard_of("clip07", "motion"), -1)
    done = command("verify", "s", "t")
    assert done.returncode == 1
    assert f"{shard_of('clip07', 'motion')}" in done.stdout
    assert done.stderr == "error: 1 of 2 stores are damaged; see above.\n"


@every_kind
def test_an_exported_npz_holds_every_value_and_is_the_same_bytes_again(kind):
    build("s", kind, failed=["clip03"])
    path = export_store("s", "npz")
    first = path.read_bytes()
    with np.load(path) as held:
        assert held["ids"].tolist() == [key for key in IDS if key != "clip03"]
        for row, key in enumerate(held["ids"].tolist()):
            for name, array in record(kind, key).arrays.items():
                found = held[f"{key}/{name}"] if kind == "motion" else held[name][row]
                assert found.dtype == array.dtype
                assert found.tolist() == array.tolist()
    assert export_store("s", "npz").read_bytes() == first


@every_kind
def test_an_exported_parquet_holds_every_value(kind):
    build("s", kind, failed=["clip03"])
    rows = {row["id"]: row for row in pq.read_table(export_store("s", "parquet")).to_pylist()}
    assert sorted(rows) == [key for key in IDS if key != "clip03"]
    for key, row in rows.items():
        for name, array in record(kind, key).arrays.items():
            assert row[name] == (array.reshape(-1).tolist() if array.ndim else array.item())
            if kind == "motion":
                assert row[f"{name}_shape"] == list(array.shape)
    if kind == "motion":
        assert (rows["clip07"]["fps"], rows["clip07"]["codec"]) == (29.97, "mpeg4")


def test_export_on_the_command_line_prints_the_file():
    build("s", "keyframes")
    assert command("export-store", "s", "--to", "npz").stdout == "s.npz\n"
    assert command("export-store", "s", "--to", "npz", "--out", "other.npz").stdout == "other.npz\n"
    assert Path("other.npz").read_bytes() == Path("s.npz").read_bytes()
    assert command("export-store", "s", "--to", "csv").returncode == 2
    assert command("export-store", "nowhere", "--to", "npz").returncode == 2


def test_a_file_is_no_store_to_export():
    Path("pairs.h5").write_bytes(b"")
    wanted = "pairs.h5 is a file; give a store, a folder of shards such as features/keyframes."
    assert sentence_of(export_store, "pairs.h5", "npz") == wanted


def test_an_empty_store_has_nothing_to_export():
    build("s", "motion", [])
    assert sentence_of(export_store, "s", "parquet") == "s has no clip to export."


@pytest.mark.parametrize("kind", ["motion", "keyframes"])
def test_the_recipe_of_a_stores_readme_runs_with_h5py_alone(kind):
    build("s", kind)
    text = Path("s/README.md").read_text()
    (recipe,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Path("recipe.py").write_text(recipe)
    code = "import os, sys, runpy; os.chdir('s'); runpy.run_path('../recipe.py'); print('mocliplite' in sys.modules)"
    lines = run_python("-c", code).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[:-1]) == IDS
    assert lines[-1] == "False"
    assert '"cell_size": 8' in text


@every_kind
def test_a_new_clip_does_not_change_the_readme(kind):
    build("s", kind, IDS[:3])
    before = Path("s/README.md").read_bytes()
    build("s", kind)
    assert Path("s/README.md").read_bytes() == before


@pytest.fixture
def project():
    """A project as doctor looks at it: settings, graph, git, and DVC's cache."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, name)
    sh(Path(), "git init -q . && dvc init -q && git add -A")


def test_doctor_looks_at_everything(project):
    found = {finding.sentence: finding.mark for finding in _doctor.findings()}
    assert found["locks work here"] == "ok"
    assert found["git ignores none of 12 metrics and plots, dvc.lock and params.yaml"] == "ok"
    for start, mark in {
        "checkouts copy from ": "note",
        "PyAV decodes H.264 and MPEG-4 (libavcodec ": "ok",
        "CLIP sample/data/clip is neither a folder here nor a hub id": "BAD",
        "features/clips.csv is not here yet, ": "note",
    }.items():
        assert [held for sentence, held in found.items() if sentence.startswith(start)] == [mark], start


def test_doctor_tells_a_clip_that_dvc_makes_from_one_of_the_hub(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    Path("sample").mkdir()
    shutil.copy(CHECKOUT / "sample/dvc.yaml", "sample/dvc.yaml")
    Path("mine.dvc").touch()
    said = {
        name: _clip_source.find_clip(name) for name in ("sample/data/clip", "mine", "ann/vit", "sample/vit", "sample")
    }
    assert [finding.mark for finding in said.values()] == ["note", "note", "note", "BAD", "BAD"]
    assert [finding.sentence.split("; ")[0] for finding in said.values()] == [
        "CLIP sample/data/clip is not at hand",
        "CLIP mine is not at hand",
        "CLIP ann/vit is not at hand",
        "CLIP sample/vit is neither a folder here nor a hub id such as openai/clip-vit-base-patch32",
        "sample is no CLIP checkpoint: it lacks "
        "config.json, preprocessor_config.json, model.safetensors, tokenizer.json",
    ]
    assert [finding.sentence.split("; ")[1] for finding in said.values()] == [
        "it is made by `dvc repro`, or got by `dvc pull`",
        "get it first: `dvc pull mine.dvc`",
        "it will be fetched: `hf download ann/vit`",
        "check the path.",
        "save one there with save_pretrained.",
    ]


def test_doctor_names_metrics_that_git_ignores(project):
    Path(".gitignore").write_text("eval.json\n")
    wanted = "metrics/eval.json is ignored by git; DVC's experiments would lack it: remove it from .gitignore."
    assert list(_doctor._metrics()) == [_doctor.Finding("BAD", wanted)]


def test_doctor_compares_the_room_with_what_stores_need(project):
    header = ["id", "path", "label", "index", "group", "bytes", "sha256"]
    write_rows("features/clips.csv", header, [["a", "A/a.avi", "A", 0, "g", 10**16, "0"]])
    finding = _doctor._room(params.load())
    assert finding.mark == "BAD"
    assert "stores of 1 clips and their cache need about 4000000.00 GB" in finding.sentence


def test_doctor_says_where_files_cannot_be_locked(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock.FileLock, "acquire", lambda *_, **__: None)
    finding = _doctor._locks()
    assert finding.mark == "BAD"
    assert finding.sentence.startswith("files cannot be locked here: never run two stages at once")


def test_doctor_outside_of_a_project_is_one_sentence():
    done = command("doctor")
    assert done.returncode == 2
    assert done.stderr == f"error: {params.FILE} is not here; run this in the project's folder.\n"
