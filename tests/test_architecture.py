"""docs/architecture.md against the code: the picture of the layers, the table of rooms, and the names in the tables."""

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from imports import ROOT, imported_names

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def rooms_in_code(root=ROOT):
    """Return the names of the rooms: packages and modules of mocliplite, and stages."""
    children = (root / "mocliplite").iterdir()
    names = {path.stem for path in children if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return (names - {"__init__"}) | {"stages"}


def room_of(name, rooms):
    """Return the room of a dotted module name, or None for modules of other packages."""
    parts = name.split(".")
    room = "stages" if parts[0] == "stages" else parts[1] if parts[0] == "mocliplite" and len(parts) > 1 else None
    return room if room in rooms else None


def imports_between_rooms(root=ROOT):
    """Return every import across rooms as (importing room, imported room, file), imports inside functions included."""
    rooms, found = rooms_in_code(root), set()
    for path in [*root.glob("mocliplite/**/*.py"), *root.glob("stages/*.py")]:
        file = path.relative_to(root).with_suffix("")
        source = room_of(".".join(file.parts), rooms)
        targets = {room_of(name, rooms) for name in imported_names(path)} - {source, None}
        found |= {(source, target, file.as_posix()) for target in targets if source}
    return found


def upward_imports(layers, root=ROOT):
    """Return the imports that do not go to a lower layer."""
    level = {room: number for number, layer in enumerate(layers) for room in layer}
    return {(a, b, file) for a, b, file in imports_between_rooms(root) if level[a] >= level[b]}


def pictured_layers(page=PAGE):
    """Return the layers of the picture from top to bottom, each as a set of rooms."""
    (picture,) = re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)
    blocks = re.findall(r"subgraph (\w+) \[[^\]]*\]\n(.*?)\n    end", picture, re.DOTALL)
    nodes = {
        name: {(re.findall(r'"(.+)"', node) or [node.strip()])[0] for node in body.split("~~~")}
        for name, body in blocks
    }
    (order,) = re.findall(r"^    (\w+(?: --> \w+)+)$", picture, re.MULTILINE)
    assert sorted(order.split(" --> ")) == sorted(nodes)
    return [nodes[name] for name in order.split(" --> ")]


def contract_layers():
    """Return the layers of import-linter's contract from top to bottom, each as a set of rooms."""
    (contract,) = (contract for contract in CONTRACTS if contract["type"] == "layers")
    return [{name.strip().split(".")[-1] for name in line.split("|")} for line in contract["layers"]]


def rows_of(heading):
    """Return the rows of the first table below a heading of the page, as lists of cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    _, _, *rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_room_is_in_the_picture_once():
    pictured = [room for layer in pictured_layers() for room in layer]
    assert sorted(pictured) == sorted(rooms_in_code())


def test_the_picture_has_the_layers_of_the_import_contract_in_their_order():
    assert pictured_layers() == contract_layers()


def test_imports_in_the_code_go_down_the_picture():
    assert len(imports_between_rooms()) > 100
    assert upward_imports(pictured_layers()) == set()


@pytest.mark.parametrize(
    ("room", "imported"), [("store", "fusion"), ("motion", "encoders"), ("errors", "files"), ("evaluation", "store")]
)
def test_an_import_upwards_or_sideways_is_found(tmp_path, room, imported):
    for name in rooms_in_code() - {"stages"}:
        (tmp_path / "mocliplite" / name).mkdir(parents=True)
        (tmp_path / "mocliplite" / name / "__init__.py").touch()
    module = tmp_path / "mocliplite" / room / "new.py"
    module.write_text(f"def late():\n    from mocliplite.{imported} import anything\n")
    assert upward_imports(pictured_layers(), tmp_path) == {(room, imported, f"mocliplite/{room}/new")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        cli\n", "        report\n"),
        ("layer2 --> layer3", "layer3 --> layer2"),
        ("fusion ~~~ motion_net", "fusion"),
        ("motion ~~~ encoders", "motion ~~~ evaluation"),
    ],
)
def test_a_wrong_picture_does_not_match_the_contract(old, new):
    assert old in PAGE
    assert pictured_layers(PAGE.replace(old, new)) != contract_layers()


def test_the_table_of_rooms_names_the_layer_below_each_room():
    layers = pictured_layers()
    table = {room.strip("`"): re.findall(r"`(\w+)`", below) for room, _, below, _ in rows_of("The rooms")}
    below = dict(zip(map(frozenset, layers), [*layers[1:], set()], strict=True))
    assert {room: set(names) for room, names in table.items()} == {
        room: names for layer, names in below.items() for room in layer
    }


def test_the_table_of_rooms_names_the_libraries_that_one_room_alone_imports():
    rows = [(room.strip("`"), cell.split(", ")) for room, _, _, cell in rows_of("The rooms") if cell]
    table = {library: {room} for room, libraries in rows for library in libraries}
    importers = {library: set() for library in table}
    for path in ROOT.glob("mocliplite/**/*.py"):
        for library in importers.keys() & {name.split(".")[0] for name in imported_names(path)}:
            importers[library].add(path.relative_to(ROOT / "mocliplite").with_suffix("").parts[0])
    assert importers == table
    forbidden = {
        name for contract in CONTRACTS if contract["type"] == "forbidden" for name in contract["forbidden_modules"]
    }
    assert importers.keys() == forbidden - {"sample"}


FUNCTIONS = sorted(set(re.findall(r"`((?:mocliplite|stages)\.[\w.]+)`", PAGE)))


def test_every_function_on_the_path_of_a_clip_exists():
    steps = rows_of("The path of a clip")
    assert len(steps) >= 10
    assert {step.strip("`") for _, step in steps} < set(FUNCTIONS)
    assert [name for name in FUNCTIONS if not callable(found(name))] == []


def found(name):
    """Return the function or method of a dotted name, or None."""
    parts = name.split(".")
    length = max(n for n in range(1, len(parts)) if is_module(parts[:n]))
    value = import_module(".".join(parts[:length]))
    for part in parts[length:]:
        value = getattr(value, part, None)
    return value


def is_module(parts):
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_every_function_is_one_of_the_module_it_is_named_under():
    """A name that a module imports from elsewhere would lead a reader to the wrong file."""
    elsewhere = [
        name
        for name in FUNCTIONS
        for module, function in [name.rsplit(".", 1)]
        if is_module(module.split(".")) and function not in defined_in(ROOT.joinpath(*module.split(".")))
    ]
    assert elsewhere == []


def defined_in(path):
    tree = ast.parse(Path(f"{path}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_file_of_the_table_of_changes_exists_and_has_the_names_beside_it():
    rows = rows_of("Where do I change ...?")
    assert len(rows) == 11
    missing = []
    for _, files in rows:
        for file, names in re.findall(r"`([\w/]+(?:\.\w+|/))`(?: \(([^)]*)\))?", files):
            text = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else None
            exists = (ROOT / file).exists()
            missing += [] if exists else [file]
            missing += [
                f"{file}: {name}" for name in re.findall(r"`([\w.]+)`", names) if not has_name(text or "", name)
            ]
    assert missing == []


def has_name(text, name):
    return all(re.search(rf"\b{part}\b", text) for part in name.split("."))


# What Python's time has besides the time of day.
INTERVALS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time", "sleep"}


def reads_clock(source):
    """Return whether a module imports or names what reads the time of day, under whatever name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = any(alias.name == "datetime" or (alias.name == "time" and alias.asname) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found = node.module == "datetime" or (node.module == "time" and not names <= INTERVALS)
        elif isinstance(node, ast.Attribute):
            found = isinstance(node.value, ast.Name) and node.value.id == "time" and node.attr not in INTERVALS
        else:
            found = False
        if found:
            return True
    return False


@pytest.mark.parametrize(
    "source",
    [
        *("from time import time", "from time import sleep, time_ns as now", "from time import *", "import time as t"),
        *("import time\ntime.time()", "import time\nread = time.localtime", "import time\ntime.clock_gettime(0)"),
        *("from datetime import datetime as d", "import datetime", "import datetime as d", "from datetime import date"),
    ],
)
def test_whatever_reads_the_time_of_day_is_found(source):
    assert reads_clock(source)
    assert reads_clock(f"def f():\n    {source.replace(chr(10), '; ')}")
    assert not reads_clock("import time\nfrom time import monotonic\ntime.sleep(time.perf_counter() - monotonic())")


def test_nothing_reads_the_time_of_day():
    """So a clock that jumps changes nothing, and no file has a time in it.

    The times of files are compared, but only with those of the same file: tests/data/test_manifest.py.
    """
    files = [path for folder in ("mocliplite", "stages", "sample") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if reads_clock(path.read_text(encoding="utf-8"))] == []
