import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import stores
from builders import CHECKOUT, clip_of, put, run_python, settings_of
from project import sh

from mocliplite import params
from mocliplite.cli import _doctor
from mocliplite.cli._clip_source import Finding
from mocliplite.cli._workspace import workspace_findings
from mocliplite.data.clips import write_clips

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def small_project():
    """A project with params.yaml, dvc.yaml, git and a DVC cache."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, name)
    sh(Path(), "git init -q . && dvc init -q && git add -A")


def test_doctor_checks_locks_git_cache_decoders_clip_and_disk_space(small_project):
    found = {finding.sentence: finding.mark for finding in _doctor.findings()}
    assert found["file locks work"] == "ok"
    assert found["git ignores none of 13 metrics and plots, dvc.lock and params.yaml"] == "ok"
    for start, mark in {
        "checkouts copy from ": "note",
        "PyAV decodes H.264 and MPEG-4 (libavcodec ": "ok",
        "encoder sample/data/clip is neither an existing folder nor a hub id": "BAD",
        "features/clips.csv does not exist yet, ": "note",
    }.items():
        assert [found[sentence] for sentence in found if sentence.startswith(start)] == [mark], start


def test_doctor_names_metrics_that_git_ignores(small_project):
    Path(".gitignore").write_text("eval.json\n")
    wanted = "metrics/eval.json is ignored by git and would be missing from DVC experiments; remove it from .gitignore."
    assert list(_doctor._check_git_ignore()) == [Finding("BAD", wanted)]


def test_doctor_names_a_shallow_clone_a_path_that_is_not_ascii_and_staged_changes():
    folder = Path.cwd()
    git = "git -c user.name=a -c user.email=a@b"
    sh(
        Path(),
        f"git init -q origin && cd origin && {git} commit -q --allow-empty -m 1 && {git} commit -q --allow-empty -m 2",
    )
    sh(Path(), f"git clone -q --depth 1 file://{folder}/origin {folder}/kopie && git clone -q origin plain")
    os.chdir("plain")
    assert list(workspace_findings()) == []
    os.chdir("../kopie")
    Path("new").write_text("")
    sh(Path(), "git add new && mv ../kopie ../é")
    marks, sentences = zip(*((finding.mark, finding.sentence) for finding in workspace_findings()), strict=True)
    assert set(marks) == {"note"}
    assert [sentence.split(",")[0].split(" in /")[0] for sentence in sentences] == [
        "this is a shallow clone",
        "queued experiments fail",
        "1 changes are staged",
    ]


def test_doctor_names_a_store_that_a_stopped_run_left_with_two_settings(small_project):
    for name, cell_size in (("features/motion", 8), ("other", 16)):
        stores.build(name, "motion", settings={"cell_size": cell_size})
    Path("other/0000.h5").rename("features/motion/0000.h5")
    (found,) = [finding for finding in workspace_findings() if finding.mark == "BAD"]
    assert found.sentence.startswith("features/motion has shards of different settings (63 with cell_size: 8; 1 with ")


def test_doctor_compares_the_free_disk_space_with_the_size_of_the_stores(small_project):
    write_clips("features/clips.csv", [replace(clip_of("A/a.avi"), bytes=10**16)])
    finding = _doctor._check_disk_space(params.load())
    assert finding.mark == "BAD"
    assert "the stores of 1 clips and their cache need about 4000000.00 GB" in finding.sentence


def test_doctor_reports_a_manifest_that_does_not_exist(folder):
    (finding,) = _doctor._check_clips(settings_of(files="m.csv"))
    wanted = "dataset.files is m.csv, which does not exist; run `python -m mocliplite manifest`."
    assert (finding.mark, finding.sentence) == ("BAD", wanted)
    Path("m.csv").touch()
    assert list(_doctor._check_clips(settings_of(files="m.csv"))) == []


def test_doctor_looks_whether_an_address_can_be_read(folder, tmp_path):
    put("root", {"Run/a.avi": "a"})
    Path("m.csv").touch()
    root = (tmp_path / "root").as_uri()
    (finding,) = _doctor._check_clips(settings_of(root=root, files="m.csv"))
    assert (finding.mark, finding.sentence) == ("ok", f"{root} can be read")
    wanted = "http://127.0.0.1:9/a cannot be read; check the network and the credentials (docs/own-clips.md)."
    (finding,) = _doctor._check_clips(settings_of(root="http://127.0.0.1:9/a", files="m.csv"))
    assert (finding.mark, finding.sentence) == ("BAD", wanted)


def test_doctor_reports_a_file_system_without_locks(monkeypatch):
    import filelock

    monkeypatch.setattr(filelock.FileLock, "acquire", lambda *_, **__: None)
    finding = _doctor._check_locks()
    assert finding.mark == "BAD"
    assert finding.sentence.startswith("file locks do not work; never run two stages at once")


def test_doctor_reports_linked_folders_in_the_data_set_but_not_the_data_set_itself(folder):
    for name in ("real/a", "real/b", "far"):
        Path(name).mkdir(parents=True)
    Path("clips").symlink_to("real")
    assert list(_doctor._check_clips(settings_of(root="clips"))) == []
    Path("real/b/more").symlink_to(Path("far").resolve())
    (finding,) = _doctor._check_clips(settings_of(root="clips"))
    assert finding.sentence.startswith(
        "folders that are links: 1, such as clips/b/more; DVC does not see changes behind"
    )


def test_dvc_follows_a_link_to_the_data_set_but_not_one_inside(folder):
    for name in ("real/a", "far"):
        Path(name).mkdir(parents=True)
    Path("clips").symlink_to("real")
    Path("real/more").symlink_to(Path("far").resolve())
    Path("dvc.yaml").write_text("stages: {index: {cmd: touch out, deps: [clips], outs: [out]}}")
    sh(Path(), "git init -q . && dvc init -q && dvc repro -q")
    Path("far/1.avi").write_text("behind a link inside")
    assert "up to date" in sh(Path(), "dvc status")
    Path("real/a/1.avi").write_text("behind the link to the data set")
    assert "modified" in sh(Path(), "dvc status")


def test_doctor_outside_a_project_prints_one_sentence():
    done = run_python("-m", "mocliplite", "doctor")
    assert done.returncode == 2
    assert done.stderr == f"error: {params.FILE} does not exist; run this in the project folder.\n"
