"""The packages that pyproject.toml declares, and those that the code imports."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from imports import ROOT, imported_names

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def distributions(requirements):
    """Return the normalised names of the packages of requirements, those of the package's own extras included."""
    found = set()
    for requirement in requirements:
        name, extra = re.fullmatch(r"([\w.-]+)(?:\[(\w+)\])?(?:>=[\w.]+(?:,<[\w.]+)?)?", requirement).groups()
        found |= distributions(EXTRAS[extra]) if name == PROJECT["name"] else {normal(name)}
    return found


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(*folders):
    """Return the top-level modules of other packages that the code in these folders imports, by package."""
    own = {"mocliplite", "stages", "sample"}
    names = {name for folder in folders for path in (ROOT / folder).rglob("*.py") for name in imported_names(path)}
    modules = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - own
    packages_of = packages_distributions()
    by_package = {}
    for module in sorted(modules):
        # Of several, as ruamel.yaml and ruamel.yaml.clib, the first by name is the one that is required.
        by_package.setdefault(normal(min(packages_of.get(module, [module]))), []).append(module)
    return by_package
