"""dvc.yaml against the code: a stage depends on the rooms it imports and on settings that exist, and on no others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from imports import ROOT, code_of

from mocliplite import params, versions

GRAPHS = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("dvc.yaml", "sample/dvc.yaml")}
STAGES = {**GRAPHS["dvc.yaml"]["stages"], **GRAPHS["sample/dvc.yaml"]["stages"]}
ORDER = list(GRAPHS["dvc.yaml"]["stages"])
KEYS = set(params.keys())
WATCHED_BY_VERSION = {
    "motion": ["MOTION", "SCHEMA"],
    "keyframes": ["KEYFRAMES", "SCHEMA"],
    "train_motion": ["MOTION_NET"],
    "embed_motion": ["MOTION_NET", "SCHEMA"],
}


def module_of(name):
    return STAGES[name]["cmd"].removeprefix("python -m ")


def test_the_stages_are_in_the_order_of_their_dependencies():
    extraction = ["index", "split", "motion", "keyframes", "prompts"]
    assert [*extraction, "train_motion", "embed_motion", "pairs", "train_probes", "train_head", "evaluate"] == ORDER


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_under_its_own_name(name):
    *_, last = (ROOT / module_of(name).replace(".", "/")).with_suffix(".py").read_text().splitlines()
    graph = ', graph="sample/dvc.yaml"' if name not in ORDER else ""
    assert last == f'    run_stage("{name}", main{graph})'


def rooms_of(name):
    """Return the rooms that a stage imports, directly or not, and that can change its result.

    The room remote copies files, whose hashes are compared.
    """
    imported = (Path(path).parts for path in code_of(module_of(name)))
    return {parts[1] for parts in imported if parts[0] == "mocliplite" and len(parts) > 2} - {"runtime", "remote"}


@pytest.mark.parametrize("name", [name for name in ORDER if name not in WATCHED_BY_VERSION])
def test_a_short_stage_depends_on_its_module_and_the_rooms_it_imports(name):
    code = {dep for dep in STAGES[name]["deps"] if dep.startswith(("mocliplite", "stages"))}
    assert code == {f"stages/{name}.py", *(f"mocliplite/{room}" for room in rooms_of(name))}


@pytest.mark.parametrize(("name", "names"), WATCHED_BY_VERSION.items())
def test_extraction_and_the_motion_network_depend_on_versions_instead_of_files(name, names):
    assert [dep for dep in STAGES[name]["deps"] if dep.startswith(("mocliplite", "stages"))] == []
    assert {"mocliplite/versions.py": names} in STAGES[name]["params"]
    assert all(hasattr(versions, version) for version in names)


@pytest.mark.parametrize("name", GRAPHS["sample/dvc.yaml"]["stages"])
def test_a_stage_of_the_sample_depends_on_its_own_modules(name):
    modules = {path for path in code_of(module_of(name)) if path.startswith("sample/")}
    assert modules
    assert {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")} == modules


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_depends_on_settings_that_exist_and_not_on_compute(name):
    sections = {key.partition(".")[0] for key in KEYS}
    watched = {key for key in STAGES[name].get("params", []) if isinstance(key, str)}
    assert watched <= (sections | KEYS) - {"compute"}
    assert bool(watched) == (name != "evaluate")


def metrics_and_plots():
    """Return the options of every metric and plot of the stages, by path."""
    items = [item for name in ORDER for kind in ("metrics", "plots") for item in STAGES[name].get(kind, [])]
    return {path: options for item in items for path, options in item.items()}


def test_git_keeps_every_metric_and_plot():
    files = metrics_and_plots()
    assert {path.partition("/")[0] for path in files} == {"metrics", "plots"}
    assert len(files) >= 12
    assert [path for path, options in files.items() if options["cache"] is not False] == []
    assert files.keys() <= set(git("ls-files", "metrics", "plots"))


def test_every_plot_is_drawn_once_with_a_title_and_labels():
    plots = {path: options for path, options in metrics_and_plots().items() if path.startswith("plots/")}
    assert len(plots) == 6
    assert "plots" not in GRAPHS["dvc.yaml"]
    described = {"title", "x", "x_label", "y", "y_label"}
    assert [path for path, options in plots.items() if not described <= options.keys()] == []


def test_the_stores_of_extraction_persist_between_runs():
    persisted = {
        path: options
        for name in ORDER
        for out in STAGES[name].get("outs", [])
        if isinstance(out, dict)
        for path, options in out.items()
    }
    assert persisted == {"features/motion": {"persist": True}, "features/keyframes": {"persist": True}}


def git(*arguments):
    """Return the lines that a git command prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_the_lock_was_written_with_this_code_and_these_settings():
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    changed = json.loads(status.stdout)
    # A fresh clone has neither features nor videos, so only code and settings count.
    code = ("mocliplite", "stages", "sample/scene.py", "sample/videos.py", "sample/clip.py", "params.yaml")
    out_of_date = {
        (stage, path)
        for stage, found in changed.items()
        for part in found
        if isinstance(part, dict)
        for path in part.get("changed deps", {})
        if path.startswith(code)
    }
    assert out_of_date == set(), "run `dvc repro` and commit dvc.lock"


def test_git_does_not_ignore_metrics_plots_lock_or_settings():
    assert git("check-ignore", "report.html") == ["report.html"]
    assert git("check-ignore", "params.yaml", "dvc.lock", *metrics_and_plots()) == []


@pytest.mark.parametrize(
    ("stage", "absent"),
    [
        ("index", {"torch", "transformers", "av", "h5py", "sklearn", "numpy", "yaml"}),
        ("split", {"torch", "transformers", "av", "h5py", "sklearn", "numpy", "yaml"}),
        ("motion", {"torch", "transformers", "sklearn"}),
        ("keyframes", {"torch", "transformers", "sklearn"}),
        ("train_motion", {"transformers", "av", "sklearn"}),
        ("embed_motion", {"transformers", "av", "sklearn"}),
        ("pairs", {"torch", "transformers", "av", "sklearn", "scipy"}),
        ("train_probes", {"torch", "transformers", "av", "sklearn", "scipy"}),
        ("train_head", {"transformers", "av", "sklearn"}),
        ("evaluate", {"torch", "transformers", "av", "sklearn", "scipy"}),
    ],
)
def test_a_stage_does_not_load_libraries_that_it_does_not_need(stage, absent):
    code = f"import sys, stages.{stage}; print(*sorted(set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert absent & set(loaded.stdout.split()) == set()
