"""The commands info, verify, export-store and doctor, and the README.md of a store."""

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
def test_info_describes_kind_clips_settings_stage_and_failures(kind):
    build("s", kind, failed=["clip03"])
    description = describe("s")
    for line in (
        f"kind        {kind}",
        "29 clips",
        "1 failures",
        f"in {schema.SHARDS[kind]} shards",
        f"python -m {schema.STAGES[kind]}",
        'settings    {"cell_size": 8, "views": ["plain"]}',
        "failure     clip03: clip03 has no frames.",
    ):
        assert line in description


def test_info_of_a_motion_store_has_frames_and_sizes():
    build("s", "motion")
    total = sum(len(record("motion", key).arrays["kind"]) for key in IDS)
    assert f"30 clips, {total} frames, 0 failures" in describe("s")
    assert "64x48: 30 clips" in describe("s")


def test_the_info_command_continues_after_a_path_without_a_store():
    build("s", "keyframes")
    done = command("info", "nowhere", "s")
    assert done.returncode == 2
    assert "error: nowhere is not a feature store" in done.stderr
    assert "kind        keyframes" in done.stdout


def test_the_verify_command_names_damaged_stores():
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
def test_an_exported_npz_has_every_value_and_the_same_bytes_each_time(kind):
    build("s", kind, failed=["clip03"])
    path = export_store("s", "npz")
    first = path.read_bytes()
    with np.load(path) as exported:
        assert exported["ids"].tolist() == [key for key in IDS if key != "clip03"]
        for row, key in enumerate(exported["ids"].tolist()):
            for name, array in record(kind, key).arrays.items():
                found = exported[f"{key}/{name}"] if kind == "motion" else exported[name][row]
                assert found.dtype == array.dtype
                assert found.tolist() == array.tolist()
    assert export_store("s", "npz").read_bytes() == first


@every_kind
def test_an_exported_parquet_has_every_value(kind):
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


def test_the_export_store_command_prints_the_path_of_the_file():
    build("s", "keyframes")
    assert command("export-store", "s", "--to", "npz").stdout == "s.npz\n"
    assert command("export-store", "s", "--to", "npz", "--out", "other.npz").stdout == "other.npz\n"
    assert Path("other.npz").read_bytes() == Path("s.npz").read_bytes()
    assert command("export-store", "s", "--to", "csv").returncode == 2
    assert command("export-store", "nowhere", "--to", "npz").returncode == 2


def test_a_single_file_cannot_be_exported():
    Path("pairs.h5").write_bytes(b"")
    wanted = "pairs.h5 is a file; give a store: a folder of shards such as features/keyframes."
    assert sentence_of(export_store, "pairs.h5", "npz") == wanted


def test_an_empty_store_cannot_be_exported_to_parquet():
    build("s", "motion", [])
    assert sentence_of(export_store, "s", "parquet") == "s has no clips to export."


@pytest.mark.parametrize("kind", ["motion", "keyframes"])
def test_the_example_in_the_readme_of_a_store_runs_with_h5py_alone(kind):
    build("s", kind)
    text = Path("s/README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Path("example.py").write_text(example)
    code = "import os, sys, runpy; os.chdir('s'); runpy.run_path('../example.py'); print('mocliplite' in sys.modules)"
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
    """A project with params.yaml, dvc.yaml, git and a DVC cache."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, name)
    sh(Path(), "git init -q . && dvc init -q && git add -A")


def test_doctor_checks_locks_git_cache_decoders_clip_and_disk_space(project):
    found = {finding.sentence: finding.mark for finding in _doctor.findings()}
    assert found["file locks work"] == "ok"
    assert found["git ignores none of 12 metrics and plots, dvc.lock and params.yaml"] == "ok"
    for start, mark in {
        "checkouts copy from ": "note",
        "PyAV decodes H.264 and MPEG-4 (libavcodec ": "ok",
        "CLIP sample/data/clip is neither an existing folder nor a hub id": "BAD",
        "features/clips.csv does not exist yet, ": "note",
    }.items():
        assert [found[sentence] for sentence in found if sentence.startswith(start)] == [mark], start


def test_find_clip_tells_how_to_get_the_model(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    Path("sample").mkdir()
    shutil.copy(CHECKOUT / "sample/dvc.yaml", "sample/dvc.yaml")
    Path("mine.dvc").touch()
    models = ("sample/data/clip", "mine", "ann/vit", "sample/vit", "sample")
    findings = [_clip_source.find_clip(model) for model in models]
    assert [finding.mark for finding in findings] == ["note", "note", "note", "BAD", "BAD"]
    assert [finding.sentence.split("; ")[0] for finding in findings] == [
        "CLIP sample/data/clip is not available yet",
        "CLIP mine is not available yet",
        "CLIP ann/vit is not available yet",
        "CLIP sample/vit is neither an existing folder nor a hub id such as openai/clip-vit-base-patch32",
        "sample is no CLIP checkpoint: it lacks "
        "config.json, preprocessor_config.json, model.safetensors, tokenizer.json",
    ]
    assert [finding.sentence.split("; ")[1] for finding in findings] == [
        "create it with `dvc repro` or get it with `dvc pull`",
        "get it with `dvc pull mine.dvc`",
        "it is downloaded when needed, as by `hf download ann/vit`",
        "check the path.",
        "save one there with save_pretrained.",
    ]


def test_doctor_names_metrics_that_git_ignores(project):
    Path(".gitignore").write_text("eval.json\n")
    wanted = "metrics/eval.json is ignored by git and would be missing from DVC experiments; remove it from .gitignore."
    assert list(_doctor._check_git_ignore()) == [_doctor.Finding("BAD", wanted)]


def test_doctor_compares_the_free_disk_space_with_the_size_of_the_stores(project):
    header = ["id", "path", "label", "index", "group", "bytes", "sha256"]
    write_rows("features/clips.csv", header, [["a", "A/a.avi", "A", 0, "g", 10**16, "0"]])
    finding = _doctor._check_disk_space(params.load())
    assert finding.mark == "BAD"
    assert "the stores of 1 clips and their cache need about 4000000.00 GB" in finding.sentence


def test_doctor_reports_a_file_system_without_locks(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock.FileLock, "acquire", lambda *_, **__: None)
    finding = _doctor._check_locks()
    assert finding.mark == "BAD"
    assert finding.sentence.startswith("file locks do not work; never run two stages at once")


def test_doctor_outside_a_project_prints_one_sentence():
    done = command("doctor")
    assert done.returncode == 2
    assert done.stderr == f"error: {params.FILE} does not exist; run this in the project folder.\n"
