"""The manifest: what it has of each file, what is hashed again, and when the stage index refuses it."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from builders import put_clips, put_params, run_command, sentence_of, settings_of

from mocliplite.csv_files import read_csv
from mocliplite.data import contents, index
from mocliplite.errors import Failure
from mocliplite.remote.copies import call_with_copy

SETTINGS = settings_of(files="m.csv")


@pytest.fixture(autouse=True)
def clips(folder):
    put_clips("a/1.avi", "a/2.avi", "b/3.avi")


def test_index_takes_sizes_and_hashes_from_the_manifest(monkeypatch):
    assert index.update_manifest(SETTINGS) == (3, 3)
    expected = index.find_clips(settings_of())
    monkeypatch.setattr(contents, "size_and_digest", None)  # reading a file would fail

    assert index.find_clips(SETTINGS) == expected

    (row, *_) = read_csv("m.csv")
    status = Path("root/a/1.avi").stat()
    digest = sha256(b"a/1.avi").hexdigest()
    assert row == {"path": "a/1.avi", "bytes": "7", "mtime_ns": str(status.st_mtime_ns), "sha256": digest}


def test_only_new_and_changed_files_are_hashed_again():
    index.update_manifest(SETTINGS)
    put_clips("a/4.avi")
    Path("root/a/2.avi").write_text("changed")  # the same size
    Path("root/b/3.avi").rename("root/b/5.avi")
    assert index.update_manifest(SETTINGS) == (4, 3)
    assert index.find_clips(SETTINGS) == index.find_clips(settings_of())
    before = Path("m.csv").read_bytes()
    assert index.update_manifest(SETTINGS) == (4, 0)
    assert Path("m.csv").read_bytes() == before


def test_a_clip_with_size_and_time_of_the_one_it_replaces_is_refused_where_it_is_read_and_hashed_once_touched():
    """As after the clock was set back. The manifest cannot know, but no stage takes values of one clip for another."""
    index.update_manifest(SETTINGS)
    before = Path("m.csv").read_bytes()
    clip = Path("root/a/2.avi")
    status = clip.stat()
    clip.write_text("changed")
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.update_manifest(SETTINGS) == (3, 0)
    assert Path("m.csv").read_bytes() == before
    found = call_with_copy(lambda _: "values", "root", "a/2.avi", sha256(b"a/2.avi").hexdigest())
    assert isinstance(found, Failure)
    assert found.reason.startswith(f"{clip} has changed since it was indexed; ")
    clip.touch()
    assert index.update_manifest(SETTINGS) == (3, 1)
    found = call_with_copy(lambda _: "values", "root", "a/2.avi", sha256(b"changed").hexdigest())
    assert found == "values"
    assert index.find_clips(SETTINGS) == index.find_clips(settings_of())


def test_an_interrupted_manifest_is_continued(monkeypatch):
    def read(path):
        if path.name == "3.avi":
            raise KeyboardInterrupt
        return size_and_digest(path)

    size_and_digest = contents.size_and_digest
    with monkeypatch.context() as patch:
        patch.setattr(contents, "size_and_digest", read)
        with pytest.raises(KeyboardInterrupt):
            index.update_manifest(SETTINGS)
    assert not Path("m.csv").exists()
    assert index.update_manifest(SETTINGS) == (3, 1)
    assert index.find_clips(SETTINGS) == index.find_clips(settings_of())
    assert list(Path().glob(".m.csv*")) == []


@pytest.mark.parametrize("change", ["new", "changed", "gone"])
def test_a_manifest_that_is_out_of_date_is_refused(change):
    index.update_manifest(SETTINGS)
    path = Path("root/a/4.avi" if change == "new" else "root/a/2.avi")
    if change == "new":
        put_clips("a/4.avi")
    elif change == "changed":
        os.utime(path, ns=(0, 0))  # the same size
    else:
        path.unlink()
    problem = f"{path} is new, changed or gone (1 such files)"
    wanted = f"m.csv is out of date: {problem}; run `python -m mocliplite manifest`."
    assert sentence_of(index.find_clips, SETTINGS) == wanted


def test_a_manifest_with_a_name_that_is_too_long_for_a_file_is_out_of_date():
    index.update_manifest(SETTINGS)
    with Path("m.csv").open("a") as file:
        file.write(f"a/{'x' * 5000}.avi,1,1,{'0' * 64}\n")
    assert sentence_of(index.find_clips, SETTINGS).endswith(
        ".avi is new, changed or gone (1 such files); run `python -m mocliplite manifest`."
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, "dataset.files is m.csv, which does not exist; run `python -m mocliplite manifest`."),
        (
            "path,bytes,mtime_ns,sha256\na/1.avi,x,1,0\n",
            "m.csv is damaged or no manifest; delete it, or set dataset.files to another file, and run"
            " `python -m mocliplite manifest`.",
        ),
        (
            "path,bytes,mtime_ns,sha256\na/\0.avi,1,1,0\n",
            "m.csv is damaged or no manifest; delete it, or set dataset.files to another file, and run"
            " `python -m mocliplite manifest`.",
        ),
        (
            "path,label\na/1.avi,a\n",
            "m.csv is damaged or no manifest; delete it, or set dataset.files to another file, and run"
            " `python -m mocliplite manifest`.",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(text, wanted):
    if text is not None:
        Path("m.csv").write_text(text)
    assert sentence_of(index.find_clips, SETTINGS) == wanted


def test_the_command_writes_the_manifest_and_says_how_many_files_it_read():
    put_params(files="m.csv")
    output = run_command("manifest")
    assert (output.returncode, output.stdout) == (0, "m.csv: files: 3, new or changed: 3\n")
    put_params()
    output = run_command("manifest")
    wanted = "params.yaml: dataset.files is root, the folder dataset.root; set it to the file to write, such as"
    assert (output.returncode, output.stderr) == (2, f"error: {wanted} clips_manifest.csv.\n")
