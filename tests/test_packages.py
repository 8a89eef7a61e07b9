"""What to install where a package is missing, against the extras of pyproject.toml."""

import pytest
from declared import EXTRAS, PROJECT, distributions, imported_modules

from mocliplite import packages

# It has an environment of its own.
NOT_DECLARED = {"gradio"}


def test_every_package_that_is_not_always_installed_is_in_the_extra_that_is_named():
    always = distributions(PROJECT["dependencies"])
    modules = {
        module: package
        for package, names in imported_modules("mocliplite", "stages").items()
        for module in names
        if package not in always | NOT_DECLARED
    }
    assert len(modules) > 12
    wrong = [module for module, package in modules.items() if package not in installed_by(packages.requirement(module))]
    assert wrong == []


def installed_by(requirement):
    if not requirement.startswith('".['):
        return {requirement}
    return distributions(EXTRAS[requirement.removeprefix('".[').removesuffix(']"')])


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("matplotlib.figure", "pip install matplotlib"),
        ("pyarrow", "pip install pyarrow"),
        ("ruamel.yaml", 'pip install ".[dvc]"'),
        ("torch", 'pip install ".[train]"'),
    ],
)
def test_the_sentence_names_what_is_missing_and_the_command(module, command):
    name = module.partition(".")[0]
    wanted = f"show needs {name}, which is not installed; run `{command}`."
    assert str(packages.not_installed(module, "show")) == wanted


def test_an_installed_package_is_named_instead_of_the_checkout(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "packages.py"))
    assert packages.requirement("uvicorn") == '"mocliplite[serve]"'
