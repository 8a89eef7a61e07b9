import errno
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from builders import sentence_of

from mocliplite import files, params, yaml_text
from mocliplite.csv_files import read_csv, read_rows, resume_rows
from mocliplite.data.lists import entry
from mocliplite.files import atomic_write, keep_only, rounded, write_json, write_text

pytestmark = pytest.mark.usefixtures("folder")


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def old():
    path = Path("out.txt")
    path.write_text("old")
    return path


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(old, error):
    def write_half():
        with atomic_write(old) as partial:
            partial.write_text("ne")
            raise error

    with pytest.raises(error):
        write_half()
    assert old.read_text() == "old"
    assert names() == ["out.txt"]


def test_an_interrupted_rename_leaves_the_old_file_and_nothing_else(old, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(old, "new")
    assert old.read_text() == "old"
    assert names() == ["out.txt"]


def test_readers_see_the_old_file_until_the_new_one_is_complete(old):
    with atomic_write(old) as partial:
        partial.write_text("new")
        assert old.read_text() == "old"
        assert partial.parent == old.parent
    assert old.read_text() == "new"
    assert names() == ["out.txt"]


def test_the_new_file_is_flushed_to_disk_before_it_is_renamed(old, monkeypatch):
    steps = []
    rename = Path.replace
    monkeypatch.setattr(os, "fsync", lambda _: steps.append("flushed"))
    monkeypatch.setattr(Path, "replace", lambda self, to: [steps.append("renamed"), rename(self, to)])
    write_text(old, "new")
    assert steps == ["flushed", "renamed"]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_to_a_shared_cache_is_replaced_and_the_cached_file_is_unchanged(link):
    cached = Path("cached").absolute()
    cached.write_text("shared")
    cached.chmod(0o444)
    link(cached, "out.txt")
    write_text("out.txt", "mine")
    assert Path("out.txt").read_text() == "mine"
    assert (cached.read_text(), cached.stat().st_mode & 0o777) == ("shared", 0o444)


def test_a_broken_link_is_replaced():
    Path("out.txt").symlink_to("missing")
    write_text("out.txt", "new")
    assert Path("out.txt").read_text() == "new"
    assert names() == ["out.txt"]


def test_missing_folders_are_created():
    write_text("metrics/split1/out.txt", "new")
    assert Path("metrics/split1/out.txt").read_text() == "new"


def test_text_is_utf8_with_unix_line_endings():
    write_text("out.txt", "é\n")
    assert Path("out.txt").read_bytes() == b"\xc3\xa9\n"


# JSON


def test_equal_values_give_equal_json_in_any_order():
    write_json("a.json", {"top5": 1, "top1": {"std": 0.5, "mean": "é"}})
    write_json("b.json", {"top1": {"mean": "é", "std": 0.5}, "top5": 1})
    wanted = '{\n  "top1": {\n    "mean": "é",\n    "std": 0.5\n  },\n  "top5": 1\n}\n'
    assert Path("a.json").read_text("utf-8") == Path("b.json").read_text("utf-8") == wanted


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_json_cannot_represent_are_refused_and_the_old_file_remains(old, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(old, {"mean": value})
    assert old.read_text() == "old"


def test_metrics_are_rounded_to_four_decimals_at_any_depth():
    given = {"top1": {"mean": 2 / 3, "all": [0.00004, (1.23456,)]}, "clips": 96, "best": None, "on": True}
    wanted = {"top1": {"mean": 0.6667, "all": [0.0, [1.2346]]}, "clips": 96, "best": None, "on": True}
    assert json.dumps(rounded(given)) == json.dumps(wanted)


def test_a_folder_that_cannot_be_filled_is_as_before():
    def fill(folder):
        with files.new_folder(Path(folder)):
            files.write_text(Path(folder, "inner/a.txt"), "a")
            raise KeyboardInterrupt

    Path("empty").mkdir()
    for folder in ("empty", "new"):
        with pytest.raises(KeyboardInterrupt):
            fill(folder)
    assert names() == ["empty"]
    assert names("empty") == []


# Other files in a folder


def test_other_files_are_removed_but_not_the_targets_of_links():
    Path("store/folder").mkdir(parents=True)
    Path("elsewhere").mkdir()
    for name in ("store/0000.h5", "store/.0000.h5.7.partial", "store/folder/x", "elsewhere/file"):
        Path(name).write_text("")
    Path("store/link").symlink_to(Path("elsewhere").absolute())
    keep_only(Path("store"), {"0000.h5"})
    assert names("store") == ["0000.h5"]
    assert names("elsewhere") == ["file"]


@pytest.mark.parametrize(
    ("number", "ends"), [(errno.EBUSY, nullcontext()), (errno.EACCES, pytest.raises(PermissionError))]
)
def test_a_file_that_nfs_keeps_for_a_reader_stays(monkeypatch, number, ends):
    Path("store").mkdir()
    for name in ("store/.nfs01", "store/other"):
        Path(name).write_text("")
    unlink = Path.unlink

    def refuse(path, **settings):
        if path.name == ".nfs01":
            raise OSError(number, os.strerror(number))
        unlink(path, **settings)

    monkeypatch.setattr(Path, "unlink", refuse)
    with ends:
        keep_only(Path("store"), ())
        assert names("store") == [".nfs01"]


def test_json_that_is_nested_deeply_is_damaged():
    Path("a.json").write_text('{"a": ' + "[" * 100_000)
    assert sentence_of(files.read_json, "a.json").startswith("a.json is damaged (")


@pytest.mark.parametrize("text", [r'{"\ud800": 1}', r'{"a": [["x", "\uDFFF"]]}', r'{"a": "\udc00\ud800"}'])
def test_json_with_half_of_a_character_is_damaged(text):
    Path("a.json").write_text(text)
    assert "' is half of a character); " in sentence_of(files.read_json, "a.json")


def test_escaped_characters_of_json_are_read():
    Path("a.json").write_text(r'{"a": "\ud83d\ude00\u00e9 \\ud800"}')
    assert files.read_json("a.json") == {"a": "\N{GRINNING FACE}\u00e9 \\ud800"}


# Pipes and devices


@pytest.fixture(params=["pipe", "link to a pipe", "link to a device", "link to standard output"])
def special(request):
    """A path that opens no regular file of its own."""
    path = Path("out.txt")
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "link to a pipe":
        os.mkfifo("pipe")
        path.symlink_to("pipe")
    elif request.param == "link to a device":
        path.symlink_to(os.devnull)
    elif not Path("/proc/self/fd").is_dir():
        pytest.skip("here standard output is no link")
    else:
        # As /dev/stdout is where a shell connected it with a file.
        Path("file").touch()
        with Path("file").open() as file:
            path.symlink_to(f"/proc/self/fd/{file.fileno()}")
            yield path
        return
    yield path


def test_a_pipe_and_a_device_are_not_replaced(special):
    before = names()
    sentence = sentence_of(write_text, special, "new")
    assert sentence == "out.txt is not a regular file; give another file, or remove it."
    assert names() == before
    assert not special.is_file() or special.is_symlink()


@pytest.mark.parametrize(
    "read",
    [
        files.read_bytes,
        files.read_text,
        files.read_json,
        read_csv,
        lambda path: read_rows(path, ["a"]),
        lambda path: resume_rows(path, ["a"]),
        yaml_text.read,
        entry.read_text,
        params.load,
    ],
)
def test_a_text_is_not_read_from_a_device(read):
    # A pipe would wait where it is opened.
    Path("null").symlink_to(os.devnull)
    assert sentence_of(read, Path("null")) == "null is not a regular file; save its content to a file instead."


def test_a_text_is_not_read_from_a_pipe():
    os.mkfifo("pipe")
    assert sentence_of(files.read_text, "pipe") == "pipe is not a regular file; save its content to a file instead."


def test_containers_of_the_same_name_are_told_apart_by_their_numbers_of_processes(monkeypatch):
    assert files._host() == files._HOST
    monkeypatch.setattr(Path, "readlink", lambda path: Path("pid:[4026532999]"))
    assert files._host() != files._HOST
