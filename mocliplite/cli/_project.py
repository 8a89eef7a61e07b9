"""The files of a project outside the repository, whose code is the installed package.

The wheel contains the files of the repository that such a project needs in mocliplite/project/, and its stages in
mocliplite/stages/.
"""

import io
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

import mocliplite
from mocliplite import params, versions
from mocliplite.data.names import ENDINGS
from mocliplite.errors import UserError
from mocliplite.files import new_folder, read_text, write_text

GRAPH = "dvc.yaml"
_PACKAGED = Path(mocliplite.__file__).parent / "project"
_DEFAULTS = "configs/folder.yaml"
# Those of the package. Settings, prompts and ignored files belong to the project.
_OF_PACKAGE = ("configs/*", ".dvc/plots/*")
_OF_PROJECT = (".dvc/.gitignore", ".dvc/config", ".dvcignore", "prompts/*")
_CODE = ("mocliplite/", "stages/")

GRAPH_COMMENT = """\
# The pipeline of the installed mocliplite, which `mocliplite upgrade` writes again. Stages that take seconds run again
# after each upgrade; extraction and the motion network only if their version in versions.yaml has changed.
# No stage depends on the section compute of params.yaml, since workers and device do not change results.
"""

README = """\
# Action recognition with MoCLIP-Lite

In an environment with `mocliplite[dvc]` {version}, the clips `my_clips/<class>/*.mp4` become a recogniser of their
classes:

    mocliplite init my_clips --force
    dvc repro
    mocliplite results
    mocliplite report --out report.html
    mocliplite predict new.mp4

`init` writes the settings to `params.yaml`, where comments explain them; `configs/` has complete files for other data.
`dvc repro` computes only what has changed. Commit `params.yaml`, `dvc.lock`, `metrics` and `plots`; `dvc push` copies
`features/` and `models/` to a remote of DVC.

`dvc.yaml`, `versions.yaml`, `configs/` and `.dvc/plots/` belong to this version of the package: `upgrade` replaces
them, so keep your settings in `params.yaml`. After an update of the package, run

    mocliplite upgrade
    dvc repro
"""

_IGNORED = """\
__pycache__/
.venv/
# What stopped runs leave behind, and what commands write
.*.lock
.*.partial
.kill.log
.motion.resume
/recogniser/
/report.html
# Videos
"""


def create(folder: Path) -> None:
    """Write a new project to a folder. Raises UserError if it is not empty."""
    _refuse_checkout()
    with new_folder(folder):
        for pattern in _OF_PROJECT:
            _copy(pattern, folder)
        _write_files_of_package(folder)
        write_text(folder / params.FILE, read_text(folder / _DEFAULTS))
        write_text(folder / ".gitignore", _IGNORED + "".join(f"*{ending}\n" for ending in ENDINGS))
        write_text(folder / "README.md", README.format(version=mocliplite.__version__))


def upgrade(folder: Path) -> None:
    """Write the files that belong to the installed version again. Raises UserError if the folder is no project."""
    _refuse_checkout()
    if not (folder / versions.FILE).is_file():
        raise UserError(f"{versions.FILE} is missing; run this in a folder that `mocliplite new` has made.")
    _write_files_of_package(folder)


def init_git(folder: Path) -> bool:
    """Make a git repository of a folder. Returns False if git is not installed."""
    try:
        return subprocess.run(["git", "init", "--quiet", folder], check=False).returncode == 0
    except FileNotFoundError:
        return False


def graph(text: str) -> str:
    """Return the text of a project's dvc.yaml for that of the repository.

    Stages are those of the package, and depend on versions.yaml instead of the code.
    """
    yaml = YAML()
    yaml.width = 10**6
    yaml.indent(mapping=2, sequence=4, offset=2)
    loaded = yaml.load(text[text.index("stages:\n") :])
    for stage in loaded["stages"].values():
        _use_package(stage)
    out = io.StringIO()
    yaml.dump(loaded, out)
    return GRAPH_COMMENT + out.getvalue()


def _use_package(stage: CommentedMap) -> None:
    """Change the command and the dependencies of a stage."""
    stage["cmd"] = stage["cmd"].replace("-m stages.", "-m mocliplite.stages.")
    watched: list[Any] = [item for item in stage.get("params", []) if isinstance(item, str)]
    names = [name for item in stage.get("params", []) if isinstance(item, dict) for name in next(iter(item.values()))]
    other = [path for path in stage["deps"] if not path.startswith(_CODE)]
    if len(other) < len(stage["deps"]):
        names.append("PACKAGE")
    stage["deps"] = other
    watched.append({versions.FILE: names})
    if "params" in stage:
        stage["params"] = watched
    else:
        stage.insert(list(stage).index("deps") + 1, "params", watched)


def _write_files_of_package(folder: Path) -> None:
    for pattern in _OF_PACKAGE:
        _copy(pattern, folder)
    write_text(folder / GRAPH, graph((_PACKAGED / GRAPH).read_text(encoding="utf-8")))
    write_text(folder / versions.FILE, versions.as_yaml())


def _copy(pattern: str, folder: Path) -> None:
    for source in _PACKAGED.glob(pattern):
        write_text(folder / source.relative_to(_PACKAGED), source.read_text(encoding="utf-8"))


def _refuse_checkout() -> None:
    """Raise UserError in the repository, whose stages are not in the package."""
    if not _PACKAGED.is_dir():
        raise UserError(
            f"{_PACKAGED.parents[1]} is a checkout of mocliplite, and a project itself; work in it, or install the "
            "package with `pip install .` and run `mocliplite new` elsewhere."
        )
