"""The files of a project outside the repository, whose code is the installed package.

The wheel contains the files of the repository that such a project needs in mocliplite/project/, and its stages in
mocliplite/stages/.
"""

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

import mocliplite
from mocliplite import params, versions
from mocliplite.cli._workspace import stdout
from mocliplite.data.names import ENDINGS
from mocliplite.errors import UserError, refuse_special
from mocliplite.files import new_folder, read_text, write_text

GRAPH = "dvc.yaml"
_PACKAGED = Path(mocliplite.__file__).parent / "project"
_DEFAULTS = "configs/folder.yaml"
# Those of the package. Settings, prompts and ignored files belong to the project.
_OF_PACKAGE = ("configs/*", "docs/*.md", ".dvc/plots/*")
# In the first line of the pages, by which `upgrade` tells them from pages of the project's own in docs/.
_PAGE_MARK = "<!-- A page of the installed mocliplite, which `mocliplite upgrade` writes again. -->\n"
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

`init` writes the settings to `params.yaml`, where comments explain them; `configs/` has complete files for other data,
and `docs/` explains all of it. `dvc repro` computes only what has changed. Commit `params.yaml`, `dvc.lock`, `metrics`
and `plots`; `dvc push` copies `features/` and `models/` to a remote of DVC. `dvc exp run` works in a repository with a
commit only: run `git add .` and `git commit` before.

`dvc.yaml`, `versions.yaml`, `configs/`, `.dvc/plots/` and the pages in `docs/` whose first line says so belong to this
version of the package: `upgrade` replaces them, so keep your settings in `params.yaml`. After an update of the
package, run

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
        for name, text in (_packaged(_OF_PROJECT) | _files_of_package()).items():
            write_text(folder / name, text)
        write_text(folder / params.FILE, read_text(folder / _DEFAULTS))
        write_text(folder / ".gitignore", _IGNORED + "".join(f"*{ending}\n" for ending in ENDINGS))
        write_text(folder / "README.md", README.format(version=mocliplite.__version__))


def upgrade(folder: Path) -> tuple[list[str], list[str]]:
    """Write the files that belong to the installed version, except over pages of the project's own.

    Returns the names of the files that were others, and of those pages. Raises UserError if the folder is no project.
    """
    _refuse_checkout()
    if not (folder / versions.FILE).is_file():
        raise UserError(f"{versions.FILE} is missing; run this in a folder that `mocliplite new` has made.")
    changed = {name: text for name, text in _files_of_package().items() if _text_of(folder / name) != text}
    own = {name for name, text in changed.items() if text.startswith(_PAGE_MARK) and _is_own_page(folder / name)}
    written = sorted(changed.keys() - own)
    for name in written:
        write_text(folder / name, changed[name])
    return written, sorted(own)


def git_root(folder: Path) -> Path | None:
    """Return the top folder of the git repository that contains a folder, None if there is none, or no git."""
    found = stdout("git", "-C", str(folder), "rev-parse", "--show-toplevel").removesuffix("\n")
    return Path(found) if found else None


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


def _files_of_package() -> dict[str, str]:
    """Return the texts of the files of a project that belong to the package, by path in the project."""
    own = {GRAPH: graph((_PACKAGED / GRAPH).read_text(encoding="utf-8")), versions.FILE: versions.as_yaml()}
    return _packaged(_OF_PACKAGE) | own


def _packaged(patterns: Sequence[str]) -> dict[str, str]:
    paths = (path for pattern in patterns for path in _PACKAGED.glob(pattern))
    return {path.relative_to(_PACKAGED).as_posix(): _project_text(path) for path in paths}


def _project_text(path: Path) -> str:
    return _PAGE_MARK * (path.suffix == ".md") + path.read_text(encoding="utf-8")


def _is_own_page(path: Path) -> bool:
    return path.exists() and not (_text_of(path) or "").startswith(_PAGE_MARK)


def _text_of(path: Path) -> str | None:
    """Return the text of a file, None if there is none that can be read. Raises UserError for a pipe or a device."""
    refuse_special(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _refuse_checkout() -> None:
    """Raise UserError in the repository, whose stages are not in the package."""
    if not _PACKAGED.is_dir():
        raise UserError(
            f"{_PACKAGED.parents[1]} is a checkout of mocliplite, and a project itself; work in it, or install the "
            "package with `pip install .` and run `mocliplite new` elsewhere."
        )
