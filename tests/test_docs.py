"""Documents against the code: generated pages are fresh, links lead somewhere, every command is known."""

import re
import sys

import pytest
from builders import CHECKOUT

from mocliplite.cli._main import parser, parsers

sys.path.insert(0, str(CHECKOUT / "docs"))

import reference

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", reference.pages())
def test_generated_pages_are_what_the_code_says(name):
    assert (CHECKOUT / name).read_text() == reference.pages()[name], "make docs"


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_of_the_project(name):
    text = (CHECKOUT / name).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (CHECKOUT / name).parent.joinpath(target).exists(), target


def test_every_command_is_in_the_docs_with_an_example_in_its_help():
    commands = parsers(parser())
    shown = "".join((CHECKOUT / name).read_text() for name in PAGES)
    assert len(commands) >= 10
    for name, command in commands.items():
        assert f"mocliplite {name}" in shown
        assert command.epilog or not command._get_positional_actions(), name


def test_every_page_of_the_docs_is_linked_from_the_readme():
    readme = (CHECKOUT / "README.md").read_text()
    assert [name for name in PAGES[2:] if name not in readme] == []
