"""Values from YAML text."""

from pathlib import Path
from typing import Any

from mocliplite.errors import UserError, reading, refuse_special

_MAX_DEPTH = 100  # of lists and mappings


def loader() -> Any:
    """Return the safe loader of PyYAML: that of libyaml, which is 30 times as fast, where there is one."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: str | Path) -> str:
    """Return the text of a settings file. Raises UserError if it is missing, no regular file, or not UTF-8."""
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; give a file.")
    refuse_special(path)
    try:
        with reading(path):
            return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this in the project folder.") from None
    except UnicodeDecodeError as error:
        raise refusal(path, error) from None


def parse(text: str, path: str | Path) -> object:
    """Return the value of a YAML text.

    Raises UserError for text that is not YAML, an alias, a tag, deep nesting, or a key that is given twice. A few lines
    of aliases can stand for more values than memory holds, and a tag for an object of Python. Of two equal keys, PyYAML
    takes the last, and DVC none.
    """
    import yaml

    chosen, depth = loader(), 0
    try:
        for event in yaml.parse(text, chosen):
            # Unlike libyaml, PyYAML takes an escape sequence of half a character, which is no Unicode.
            getattr(event, "value", "").encode()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or depth > _MAX_DEPTH:
                assert event.start_mark is not None
                line = event.start_mark.line + 1
                raise UserError(f"{path} line {line} has an alias, a tag or deep nesting; write plain values.")
        one = chosen(text)
        try:
            node = one.get_single_node()
            _refuse_repeated_keys(node, path)
            return None if node is None else one.construct_document(node)
        finally:
            one.dispose()
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist, or a number of 5,000 digits
        raise refusal(path, error) from None


def _refuse_repeated_keys(node: Any, path: str | Path) -> None:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, path)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise UserError(f"{path} line {line} gives {key.value} a second time; remove one of the two.")
                seen.add(key.value)
            _refuse_repeated_keys(value, path)


def refusal(path: str | Path, error: Exception) -> UserError:
    """Return the error for text that is not YAML, with the reason that a library gives."""
    return UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}.")
