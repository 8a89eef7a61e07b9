"""dvc.yaml against the code: a stage depends on the modules that it imports, on settings that exist, and no more."""

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
    "motion": "MOTION",
    "keyframes": "KEYFRAMES",
    "train_motion": "MOTION_NET",
    "embed_motion": "MOTION_NET",
}


def module_of(name):
    return STAGES[name]["cmd"].removeprefix("python -m ")


def test_the_graph_has_its_stages_in_order():
    extraction = ["index", "split", "motion", "keyframes", "prompts"]
    assert [*extraction, "train_motion", "embed_motion", "pairs", "train_probes", "train_head", "evaluate"] == ORDER


def rooms_of(name):
    """The rooms that a stage imports, directly or not, and that decide its result."""
    imported = (Path(path).parts for path in code_of(module_of(name)))
    return {parts[1] for parts in imported if parts[0] == "mocliplite" and len(parts) > 2} - {"runtime"}


@pytest.mark.parametrize("name", [name for name in ORDER if name not in WATCHED_BY_VERSION])
def test_a_stage_that_takes_seconds_depends_on_its_module_and_the_rooms_it_imports(name):
    code = {dep for dep in STAGES[name]["deps"] if dep.startswith(("mocliplite", "stages"))}
    assert code == {f"stages/{name}.py", *(f"mocliplite/{room}" for room in rooms_of(name))}


@pytest.mark.parametrize(("name", "version"), WATCHED_BY_VERSION.items())
def test_extraction_and_the_motion_network_depend_on_versions_instead_of_files(name, version):
    assert [dep for dep in STAGES[name]["deps"] if dep.startswith(("mocliplite", "stages"))] == []
    assert {"mocliplite/versions.py": [version]} in STAGES[name]["params"]
    assert hasattr(versions, version)


@pytest.mark.parametrize("name", GRAPHS["sample/dvc.yaml"]["stages"])
def test_a_stage_of_the_sample_depends_on_its_own_modules(name):
    own = {path for path in code_of(module_of(name)) if path.startswith("sample/")}
    assert own
    assert {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")} == own


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_depends_on_settings_that_exist_and_none_of_compute(name):
    sections = {key.partition(".")[0] for key in KEYS}
    watched = {key for key in STAGES[name].get("params", []) if isinstance(key, str)}
    assert watched <= (sections | KEYS) - {"compute"}
    assert bool(watched) == (name not in ("train_probes", "evaluate"))


def test_metrics_and_plots_are_for_git_and_stores_are_kept_for_the_next_run():
    for name in ORDER:
        for kind in ("metrics", "plots"):
            assert all(item[path]["cache"] is False for item in STAGES[name].get(kind, []) for path in item)
    persisted = {name for name in ORDER for out in STAGES[name].get("outs", []) if isinstance(out, dict)}
    assert persisted == {"motion", "keyframes"}


def test_the_lock_was_made_with_this_code_and_these_params():
    said = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    changed = json.loads(said.stdout)
    # Features and videos are not in a fresh clone.
    own = ("mocliplite", "stages", "sample/scene.py", "sample/videos.py", "sample/clip.py", "params.yaml")
    stale = {
        (stage, path)
        for stage, found in changed.items()
        for part in found
        if isinstance(part, dict)
        for path in part.get("changed deps", {})
        if path.startswith(own)
    }
    assert stale == set(), "run `dvc repro` and commit dvc.lock"


def test_nothing_that_git_should_keep_is_ignored():
    kept = [
        path for name in ORDER for kind in ("metrics", "plots") for item in STAGES[name].get(kind, []) for path in item
    ]
    ignored = subprocess.run(["git", "check-ignore", "params.yaml", "dvc.lock", *kept], cwd=ROOT, capture_output=True)
    assert ignored.stdout == b""


@pytest.mark.parametrize(
    ("stage", "absent"),
    [
        ("index", {"torch", "transformers", "av", "h5py", "sklearn", "numpy"}),
        ("split", {"torch", "transformers", "av", "h5py"}),
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
def test_a_stage_does_not_load_libraries_that_it_can_do_without(stage, absent):
    code = f"import sys, stages.{stage}; print(*sorted(set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert absent & set(loaded.stdout.split()) == set()
