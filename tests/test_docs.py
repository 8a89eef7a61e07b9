"""Documents against the code: generated pages are up to date, links lead somewhere, every command is documented."""

import re
import sys

import pytest
import yaml
from builders import CHECKOUT

from mocliplite.cli._main import parser, parsers

sys.path.insert(0, str(CHECKOUT / "docs"))

import reference

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", reference.pages())
def test_generated_pages_are_up_to_date(name):
    assert (CHECKOUT / name).read_text() == reference.pages()[name], "run `make docs`"


def links_of(name):
    """Return the targets of a page's links to other files of the project."""
    return re.findall(r"\]\((?!https?:)([^)#]+)", (CHECKOUT / name).read_text())


def test_links_lead_to_files_of_the_project():
    links = [(name, target) for name in PAGES for target in links_of(name)]
    assert len(links) > 30
    assert [(name, target) for name, target in links if not (CHECKOUT / name).parent.joinpath(target).exists()] == []


def test_links_to_headings_lead_to_a_heading_of_their_page():
    links = [
        (name, target or name.rpartition("/")[2], anchor)
        for name in PAGES
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", (CHECKOUT / name).read_text())
    ]
    assert links
    assert [(name, page, anchor) for name, page, anchor in links if anchor not in anchors_of(name, page)] == []


def anchors_of(name, page):
    headings = re.findall(r"^#+ (.+)$", (CHECKOUT / name).parent.joinpath(page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_command_is_documented_outside_of_the_generated_page():
    text = "".join((CHECKOUT / name).read_text() for name in PAGES if name not in reference.pages())
    commands = parsers(parser())
    assert len(commands) >= 10
    assert [name for name in commands if f"mocliplite {name}" not in text] == []


def test_the_help_of_every_command_with_arguments_ends_with_an_example():
    with_arguments = {name: command for name, command in parsers(parser()).items() if command._get_positional_actions()}
    assert len(with_arguments) >= 8
    assert [name for name, command in with_arguments.items() if f"mocliplite {name}" not in command.epilog] == []


def test_every_page_of_the_docs_is_linked_from_the_readme():
    readme = links_of("README.md")
    assert [name for name in PAGES[1:] if name not in readme] == []


def test_the_digests_in_the_docs_are_those_of_the_lock():
    page = (CHECKOUT / "docs/reproducibility.md").read_text().split("## Digests")[1]
    names, _, *rows = [re.findall(r"`([^`]+)`", line) for line in page.splitlines() if line.startswith("|")]
    stages = [stage for file in ("dvc.lock", "sample/dvc.lock") for stage in locked_stages(file)]
    locked = {out["path"]: out["md5"][:8] for stage in stages for out in stage.get("outs", [])}
    assert len(names) >= 4
    assert [locked[name] for name in names] in rows


def locked_stages(file):
    return yaml.safe_load((CHECKOUT / file).read_text())["stages"].values()
