"""dvc.yaml against the code: a stage depends on the modules that it imports, on settings that exist, and no more."""

import hashlib
import subprocess
import sys

import pytest
import yaml
from imports import ROOT, code_of

from mocliplite import params

GRAPHS = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("dvc.yaml", "sample/dvc.yaml")}
STAGES = {**GRAPHS["dvc.yaml"]["stages"], **GRAPHS["sample/dvc.yaml"]["stages"]}
ORDER = list(GRAPHS["dvc.yaml"]["stages"])
KEYS = set(params.keys())


def module_of(name):
    return STAGES[name]["cmd"].removeprefix("python -m ")


def locked(file):
    return yaml.safe_load((ROOT / file).read_text())["stages"]


def test_the_graph_has_its_stages_in_order():
    extraction = ["index", "split", "motion", "keyframes", "prompts"]
    assert [*extraction, "train_motion", "embed_motion", "pairs", "train_probes", "train_head", "evaluate"] == ORDER


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(name):
    assert {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")} == code_of(module_of(name))


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_depends_on_settings_that_exist_and_none_of_compute(name):
    sections = {key.partition(".")[0] for key in KEYS}
    for key in STAGES[name].get("params", []):
        assert key in sections | KEYS
        assert not key.startswith("compute")


def test_metrics_and_plots_are_for_git_and_stores_are_kept_for_the_next_run():
    for name in ORDER:
        for kind in ("metrics", "plots"):
            assert all(item[path]["cache"] is False for item in STAGES[name].get(kind, []) for path in item)
    persisted = {name for name in ORDER for out in STAGES[name].get("outs", []) if isinstance(out, dict)}
    assert persisted == {"motion", "keyframes"}


@pytest.mark.parametrize("file", ["dvc.lock", "sample/dvc.lock"])
def test_the_lock_was_made_with_this_code(file):
    deps = [dep for stage in locked(file).values() for dep in stage["deps"] if dep["path"].endswith(".py")]
    assert deps
    for dep in deps:
        assert dep["md5"] == hashlib.md5((ROOT / dep["path"]).read_bytes()).hexdigest(), f"{dep['path']}: dvc repro"


def test_the_lock_was_made_with_these_params():
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for stage in locked("dvc.lock").values():
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            section, _, name = key.partition(".")
            assert value == (settings[section][name] if name else settings[section])


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
