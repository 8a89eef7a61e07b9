"""Functions that workers call in tests. They import this module, so it imports little."""

import os
import signal
import time
from pathlib import Path


def meet(files):
    """Create the first file and wait for the second. Yields the process, and its settings for numerical libraries."""
    from numpy._core._multiarray_umath import __cpu_features__ as features

    own, other = files
    Path(own).touch()
    while not Path(other).exists():
        time.sleep(0.02)
    yield os.getpid(), (features["AVX512_ICL"], os.environ.get("MKL_CBWR"))


def die_once(flag):
    """Kill this process, unless the file is there."""
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield flag


def die(spec):
    """Kill this process for the spec `poison`."""
    if spec == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    yield spec


def hang_once(flag):
    """Hang, unless the file is there."""
    if not Path(flag).exists():
        Path(flag).touch()
        time.sleep(600)
    yield flag


def hang(folder):
    """Create a file that is named after this process, and hang."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def hang_in_decoder(folder):
    """Create a file that is named after this process, and call hang in a process of its own."""
    from mocliplite.runtime.subprocess_worker import SubprocessWorker

    Path(folder, str(os.getpid())).touch()
    SubprocessWorker(hang, 600)(folder)
    yield


def fail(spec):
    from mocliplite.errors import UserError

    raise UserError(f"{spec} does not exist; make it.")


def wait_for(path):
    """Create the file `path`, and wait until it is removed."""
    Path(path).touch()
    while Path(path).exists():
        time.sleep(0.05)
    yield path


def touch_late(spec):
    """Create a file after some seconds."""
    path, seconds = spec
    time.sleep(seconds)
    Path(path).touch()
    yield path


SHARDS_BEFORE_GATE = 3


def pass_gate(folder):
    """Once a few shards are there, create the file `reached` and wait until the file `gate` is removed."""
    while Path("gate").exists() and len(list(Path(folder).glob("*.h5"))) >= SHARDS_BEFORE_GATE:
        Path("reached").touch()
        time.sleep(0.02)


def motion_after_gate(spec):
    from mocliplite.extraction import motion

    pass_gate("features/motion")
    yield from motion.update_shards(spec)


def keyframes_after_gate(spec):
    from mocliplite.extraction import keyframes

    pass_gate("features/keyframes")
    yield from keyframes.update_shards(spec)
