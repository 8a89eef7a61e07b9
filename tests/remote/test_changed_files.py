"""A file of dataset.root that is not, or no longer, the one that was indexed gives no values."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from builders import put, sentence_of

from mocliplite.cli._main import main
from mocliplite.data.contents import size_and_digest
from mocliplite.errors import Failure
from mocliplite.remote.copies import call_with_copy
from mocliplite.store import stores
from stages import index, keyframes, motion

CLIP = Path("root/Run/a.avi")
CHANGED = Failure(
    f"{CLIP} has changed since it was indexed; run `dvc repro` (with a manifest in dataset.files, "
    "`python -m mocliplite manifest` first).",
    retry=True,
    transient=True,
)


def replace():
    """Replace the content, and nothing that the file system shows but the inode."""
    status = CLIP.stat()
    Path("other").write_text("OTHER")
    os.utime("other", ns=(status.st_atime_ns, status.st_mtime_ns))
    Path("other").replace(CLIP)


CHANGES = {
    "replaced": replace,
    "truncated": lambda: CLIP.write_text("cl"),
    "removed": lambda: CLIP.unlink(),
    "a pipe": lambda: (CLIP.unlink(), os.mkfifo(CLIP)),
    "a device": lambda: (CLIP.unlink(), CLIP.symlink_to(os.devnull)),
}


@pytest.fixture
def digest(folder):
    put("root", {"Run/a.avi": "clip."})
    return size_and_digest(CLIP)[1]


def call(function, digest):
    found = call_with_copy(function, "root", "Run/a.avi", digest)
    return found, isinstance(found, Failure) and found.transient


def test_the_file_that_was_indexed_is_read(digest):
    assert call(lambda path: Path(path).read_text(), digest) == ("clip.", False)
    failed = Failure(f"{CLIP} has no video stream.")
    assert call(lambda _: failed, digest) == (failed, False)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_has_changed_before_it_is_read_is_a_failure_of_this_run(digest, change):
    change()
    # Whatever comes of it, it is not that of the clip.
    assert call(lambda _: "values", digest) == (CHANGED, True)
    assert call(lambda _: Failure("damaged"), digest) == (CHANGED, True)


@pytest.mark.parametrize("name", ["replaced", "truncated", "removed"])
def test_a_file_that_changes_while_it_is_read_is_a_failure_of_this_run(digest, name):
    assert call(lambda _: CHANGES[name](), digest) == (CHANGED, True)


def test_a_file_that_is_put_back_after_it_was_read_was_another_one(digest):
    CLIP.write_text("OTHER")
    assert call(lambda _: CLIP.write_text("clip."), digest) == (CHANGED, True)


def test_a_file_is_hashed_once_for_all_calls_until_it_is_another_one(digest, monkeypatch):
    hashed, file_digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *named: hashed.append(named) or file_digest(*named))
    for _ in range(3):
        assert call(lambda _: "values", digest) == ("values", False)
    assert len(hashed) == 1
    replace()
    assert call(lambda _: "values", digest) == (CHANGED, True)
    assert len(hashed) == 2


def test_a_file_that_changes_while_it_is_hashed_is_a_failure_of_this_run(digest, monkeypatch):
    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *named: (file_digest(*named), replace())[0])
    assert call(lambda _: "values", digest) == (CHANGED, True)


def test_a_file_that_may_not_be_read_is_a_failure_of_this_run(digest):
    def fail(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    reason = f"{CLIP} cannot be read (Permission denied); fix the permissions and run again."
    assert call(fail, digest) == (Failure(reason, retry=True, transient=True), True)


def test_a_file_that_was_missing_when_it_was_indexed_is_not_read(digest):
    assert call(lambda _: "values", "") == (Failure(f"{CLIP} is not a file; check the path."), False)


@pytest.mark.parametrize("stage", [motion, keyframes])
def test_a_stage_with_a_changed_clip_ends_and_takes_the_clip_once_it_is_indexed_or_put_back(small_copy, stage):
    changed, other = Path("clips/Rolling/3.avi"), Path("clips/Falling/2.avi")
    shutil.copy(changed, "original.avi")
    before = stores.open_store(stage.FOLDER)
    rows = before.read(before.ids, "frames" if stage is motion else "embedding")
    shutil.rmtree(stage.FOLDER)
    shutil.copy(other, changed)
    first, row = sentence_of(stage.main).splitlines()
    assert first.startswith(f"{stage.FOLDER.removeprefix('features/')}: 1 of 24 clips were not read, because ")
    assert row.startswith(f"  Rolling__3: {changed} has changed since it was indexed; run `dvc repro`")

    shutil.copy("original.avi", changed)
    stage.main()
    after = stores.open_store(stage.FOLDER)
    assert (after.ids, after.failures) == (before.ids, {})
    assert after.read(after.ids, "frames" if stage is motion else "embedding").tobytes() == rows.tobytes()

    shutil.copy(other, changed)
    index.main()
    stage.main()
    assert stores.open_store(stage.FOLDER).failures == {}


@pytest.mark.parametrize("stage", [motion, keyframes])
def test_a_device_instead_of_a_clip_is_a_row_of_failures_of_the_stage_and_refused_by_predict(small_copy, stage, capsys):
    clip = Path("clips/Rolling/3.avi")
    clip.unlink()
    clip.symlink_to("/dev/zero")  # without an end
    shutil.rmtree(stage.FOLDER)
    assert "1 of 24 clips were not read" in sentence_of(stage.main)
    (failure,) = stores.open_store(stage.FOLDER).failures.values()
    assert failure.reason.startswith(f"{clip} has changed since it was indexed; ")
    assert sentence_of(index.main) == f"{clip} is not a regular file; remove it."
    assert sentence_of(main, ["predict", str(clip)]) == "1 of 1 clips could not be used; see above."
    assert capsys.readouterr().err.endswith(f"error: {clip} is not a file; check the path.\n")
