"""Write docs/params.md and docs/command-line.md from the code. Run as `python docs/reference.py`, or `make docs`."""

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mocliplite import params  # noqa: E402
from mocliplite.cli._main import parser, parsers  # noqa: E402


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")


def pages() -> dict[str, str]:
    """Return the text of each generated page by its path."""
    return {"docs/params.md": settings_page(), "docs/command-line.md": commands_page()}


def settings_page() -> str:
    """Return docs/params.md: a table per section, with types from the dataclasses and meanings from params.yaml."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    out = [
        "# Settings",
        "",
        "The settings in `params.yaml`, with the values of the embedded sample. `make docs` generates this page.",
        "",
    ]
    for name, kind in get_type_hints(params.Params).items():
        block = re.search(rf"^{name}:.*?(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
        assert block, name
        out += [f"## {name}", "", f"{kind.__doc__}", "", "| key | type | sample | meaning |", "|---|---|---|---|"]
        types = get_type_hints(kind)
        for field in fields(kind):
            # A comment can continue on the following lines.
            line = re.search(rf"^  {field.name}: +(.*?)(?: +# (.*(?:\n +# .*)*))?$", block[0], re.MULTILINE)
            assert line, f"{name}.{field.name}"
            value, meaning = (_cell(re.sub(r"\n +#", "", part or "")) for part in line.groups())
            out.append(f"| `{name}.{field.name}` | {_cell(type_text(types[field.name]))} | `{value}` | {meaning} |")
        out.append("")
    return "\n".join(out)


def type_text(kind: Any) -> str:
    """Return a type in words."""
    if get_origin(kind) in (UnionType, Union):  # one and the same from Python 3.14 on
        return " or ".join(type_text(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {type_text(get_args(kind)[0])}"
    names = {int: "integer", float: "number", str: "string", bool: "true or false", NoneType: "null"}
    return names.get(kind, "mapping")


def commands_page() -> str:
    """Return docs/command-line.md: the help of every command."""
    out = [
        "# Command line",
        "",
        "The output of `python -m mocliplite COMMAND --help`. `make docs` generates this page.",
        "",
    ]
    for name, command in sorted(parsers(parser()).items()):
        command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
        out += [f"## {name}", "", "```text", command.format_help().strip(), "```", ""]
    return "\n".join(out)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
