"""A limit on the memory of a process and its children together."""

import subprocess
import sys

import pytest

psutil = pytest.importorskip("psutil", reason="requirements-dask.txt is not installed")

from mocliplite.runtime.memory_watch import limited_memory  # noqa: E402

BYTES = 300 << 20
CHILD = f"held = bytearray({BYTES}); held[::4096] = b'x' * len(held[::4096]); print(flush=True); input()"


def child():
    return subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("room", [BYTES // 2, None])
def test_a_child_is_killed_beyond_the_limit_of_both(room):
    limit = room and psutil.Process().memory_info().rss + room
    with limited_memory(limit), child() as process:
        if limit:
            assert process.wait(60) == -9
        else:
            process.communicate(b"\n", timeout=60)
            assert process.returncode == 0
