import errno
import os
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of

from mocliplite import large_arrays


@pytest.mark.parametrize("reserves", [True, False])  # False: as on macOS and Windows
def test_a_large_array_is_in_a_file_without_a_name(folder, monkeypatch, reserves):
    monkeypatch.setattr(large_arrays, "_MAPPED", 100)
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate")
    array = large_arrays.new_array((4, 5, 2), "float32")
    array[:] = 1
    assert isinstance(array, np.memmap)
    assert array.sum() == 40
    assert list(Path().iterdir()) == []
    assert not isinstance(large_arrays.new_array((25,), "float32"), np.memmap)


def test_a_large_array_that_the_disk_has_no_room_for_is_refused(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert sentence_of(large_arrays.new_array, (1 << 30, 4), "float32") == (
        f"a temporary file of 16.0 GiB in {Path.cwd()} cannot be written (No space left on device); "
        "free disk space and run again: finished work is kept."
    )


def test_slices_divide_all_rows_in_order():
    assert [list(range(7))[part] for part in large_arrays.slices(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_parts_of_wide_rows_have_fewer_rows():
    assert list(large_arrays.slices(8, 4, 400)) == [slice(0, 4), slice(4, 8)]
    assert list(large_arrays.slices(8, 4, 800)) == [slice(start, start + 2) for start in (0, 2, 4, 6)]
    assert list(large_arrays.slices(2, 4, 5000)) == [slice(0, 1), slice(1, 2)]
