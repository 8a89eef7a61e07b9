"""Find the commands, parse the command line, and run one command.

Every module of this package is a command if its name does not start with an underscore. It defines `HELP` and
`run(given)`; `add_arguments(parser)` if it has arguments; `EXAMPLE` for the end of its help; and `USES_MODELS = True`
if its output depends on the trained models, so that it warns when they are out of date.
"""

import argparse
import pkgutil
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mocliplite import __version__, cli, packages
from mocliplite.cli._shared import MODELS
from mocliplite.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and run the command.

    Raises UserError for an unknown command or option, and where a library of the command is not installed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    known = commands()
    if words and not words[0].startswith("-") and words[0] not in known:
        nearest = get_close_matches(words[0], known, n=1, cutoff=0)[0]
        raise UserError(f"{words[0]} is not a command; the nearest is {nearest}; --help lists all.")
    whole = parser()
    _refuse_unknown_option(words, whole)
    given = whole.parse_args(words)
    _refuse_empty(given, parsers(whole)[given.command])
    if getattr(known[given.command], "USES_MODELS", False) and _is_default_model(given):
        _warn_if_out_of_date()
    try:
        known[given.command].run(given)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "mocliplite":
            raise
        raise packages.not_installed(str(error.name), given.command) from None


def commands() -> dict[str, ModuleType]:
    """Return the module of each command by the name of the command."""
    names = [module.name for module in pkgutil.iter_modules(cli.__path__) if not module.name.startswith("_")]
    return {name.replace("_", "-"): import_module(f"mocliplite.cli.{name}") for name in names}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(prog="python -m mocliplite", description="Action recognition on your own clips.")
    whole.add_argument("--version", action="version", version=__version__)
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, module in commands().items():
        texts = {"help": module.HELP, "description": f"{module.HELP[0].upper()}{module.HELP[1:]}."}
        command = subparsers.add_parser(name, **texts, epilog=getattr(module, "EXAMPLE", None))
        if hasattr(module, "add_arguments"):
            module.add_arguments(command)
    return whole


def parsers(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by the name of the command."""
    (found,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _refuse_unknown_option(words: Sequence[str], whole: argparse.ArgumentParser) -> None:
    """Raise UserError for an option that the command does not have.

    argparse would not name the nearest option, and would print the usage of the wrong parser.
    """
    command = parsers(whole).get(words[0]) if words else None
    if command is None:
        return
    known = list(command._option_string_actions)
    for word in words[1:]:
        if word == "--":
            return
        name = word.split("=")[0]
        # argparse accepts an abbreviation of a long option.
        if re.fullmatch(r"--?[A-Za-z][\w-]*", name) and not any(option.startswith(name) for option in known):
            nearest = get_close_matches(name, known, n=1, cutoff=0)[0]
            raise UserError(f"{name} is not an option of {words[0]}; the nearest is {nearest}; --help lists all.")


def _refuse_empty(given: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """Raise UserError for an empty value, as of a variable of a script that is not set: it would mean the default."""
    for action in command._actions:
        if getattr(given, action.dest, None) == "":
            name = action.option_strings[-1] if action.option_strings else action.metavar or action.dest
            raise UserError(f"{name} is empty; give a value.")


def _is_default_model(given: argparse.Namespace) -> bool:
    """Return whether the command uses the models of this project, not those of an exported folder or none at all."""
    return Path(getattr(given, "model", MODELS)) == Path(MODELS) and getattr(given, "words", None) is None


def _warn_if_out_of_date() -> None:
    from mocliplite.cli import _freshness

    warning = _freshness.out_of_date_warning()
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
