"""A stage fails if what DVC records of it changes while it runs."""

import shutil
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, run_python

from stages import run_stage

GRAPHS = ("dvc.yaml", "sample/dvc.yaml")
STAGES = {
    (graph, name): stage
    for graph in GRAPHS
    for name, stage in yaml.safe_load((CHECKOUT / graph).read_text())["stages"].items()
}
WITH_SETTINGS = [key for key, stage in STAGES.items() if "params" in stage]
ROOM = "mocliplite/fusion"
VERSION = ("motion", "mocliplite/versions.py", "mocliplite/versions.py: MOTION")


@pytest.fixture(autouse=True)
def project(folder):
    """The graphs, the settings, and in the place of all code files that are empty but for the versions."""
    for file in (*GRAPHS, "params.yaml", "mocliplite/versions.py"):
        Path(file).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / file, file)
    for stage in STAGES.values():
        for dep in [
            dep for dep in stage["deps"] if dep.startswith(("mocliplite", "stages", "sample/")) and "$" not in dep
        ]:
            path = Path(dep) if dep.endswith(".py") else Path(dep, "__init__.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def edited(file, old, new):
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def failure_of(name, main, graph, capsys):
    """Return the error line of a stage that exits with status 1."""
    with pytest.raises(SystemExit) as exited:
        run_stage(name, main, graph)
    assert exited.value.code == 1
    return capsys.readouterr().err


def sentence(what, name):
    return f"error: {what} was changed while {name} was running; run `dvc repro` again.\n"


@pytest.mark.parametrize(("graph", "name"), WITH_SETTINGS)
def test_a_changed_setting_of_the_stage_is_an_error(graph, name, capsys):
    settings = yaml.safe_load(Path("params.yaml").read_text())
    section, _, key = STAGES[graph, name]["params"][0].partition(".")
    key = key or next(iter(settings[section]))

    def main():
        settings[section][key] = "changed"
        Path("params.yaml").write_text(yaml.safe_dump(settings))

    assert failure_of(name, main, graph, capsys) == sentence(f"params.yaml: {section}.{key}", name)


@pytest.mark.parametrize(("graph", "name"), STAGES)
def test_changed_code_of_the_stage_is_an_error(graph, name, capsys):
    by_file = [dep for dep in STAGES[graph, name]["deps"] if dep.endswith(".py")]
    versions = [item for item in STAGES[graph, name].get("params", []) if isinstance(item, dict)]
    if by_file:
        file = what = by_file[0]
        line = "# changed\n"
    else:
        ((file, (constant, *_)),) = versions[0].items()
        what, line = f"{file}: {constant}", f"{constant} = 99\n"

    def main():
        with Path(file).open("a") as code:
            code.write(line)

    assert failure_of(name, main, graph, capsys) == sentence(what, name)


def test_a_new_file_in_a_room_of_the_stage_is_an_error(capsys):
    error = failure_of("train_head", lambda: Path(ROOM, "new.py").touch(), "dvc.yaml", capsys)
    assert error == sentence(ROOM, "train_head")


@pytest.mark.parametrize(("name", "file", "what"), [("split", "stages/split.py", "stages/split.py"), VERSION])
def test_code_that_is_gone_is_an_error(name, file, what, capsys):
    assert failure_of(name, Path(file).unlink, "dvc.yaml", capsys) == sentence(what, name)


def test_settings_that_are_not_yaml_any_more_are_an_error(capsys):
    error = failure_of("train_head", lambda: Path("params.yaml").write_text("head: ["), "dvc.yaml", capsys)
    assert error == sentence("params.yaml: head.batch", "train_head")


@pytest.mark.parametrize("old", ["workers: 2", "epochs: 20  "])
def test_changed_settings_of_others_are_no_error(old):
    run_stage("split", lambda: edited("params.yaml", old, old.replace("2", "3", 1)))


def test_without_a_graph_nothing_is_compared():
    Path("dvc.yaml").unlink()
    run_stage("train_head", lambda: edited("params.yaml", "hidden: 512", "hidden: 29"))


@pytest.mark.parametrize(
    ("module", "library"), [("stages.train_head", "torch"), ("stages.embed_motion", "torch"), ("stages.split", "csv")]
)
@pytest.mark.parametrize(
    ("code", "status"),
    [("raise KeyboardInterrupt", 130), ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143)],
)
def test_an_interrupt_while_a_stage_imports_libraries_is_one_line(module, library, code, status):
    Path(f"{library}.py").write_text(code)
    shutil.rmtree("mocliplite")
    shutil.rmtree("stages")
    done = run_python("-m", module)
    assert done.returncode == status
    assert done.stderr == "interrupted; finished work is kept. Run the same command again to continue.\n"
