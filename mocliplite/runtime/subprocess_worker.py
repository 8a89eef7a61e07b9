"""A function in a process of its own, which may crash or hang without harm to the caller."""

import os
import pkgutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")


class WorkerDiedError(Exception):
    """The process of a call ended by a signal, or exited; `signal` is its name, such as SIGSEGV."""

    def __init__(self, code: int) -> None:
        self.signal = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        super().__init__(self.signal)


class SubprocessWorker(Generic[Inputs, Outcome]):
    """Calls `function` in a process that is kept from call to call, and made anew after it died or was ended.

    The function is known by its module and name, its arguments and results travel by pickle, and what it raises is
    raised here. Raises DiedError where the process does, TimeoutError where a call takes longer than time_limit
    seconds.
    """

    def __init__(self, function: Callable[Inputs, Outcome], time_limit: float) -> None:
        self._function, self._time_limit = function, time_limit
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: Inputs.args, **named: Inputs.kwargs) -> Outcome:
        """function(*arguments, **named), over there."""
        process = self._process or self._start()
        try:
            self._pipe.send((arguments, named))
            if not self._pipe.poll(self._time_limit):
                self.close()
                raise TimeoutError
            returned, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            code = process.wait()
            self.close()
            raise WorkerDiedError(code) from None
        if not returned:
            raise value
        return value

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._end()
            self._pipe.close()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        # Not forked: decoders keep threads and locks that a fork would copy in any state. Nor by multiprocessing, which
        # runs the user's script once more over there, and fails where that has no `if __name__ == "__main__"`.
        self._pipe, far = Pipe()
        command = [
            sys.executable,
            "-P",
            "-c",
            f"from mocliplite.runtime.subprocess_worker import serve; serve({far.fileno()})",
        ]
        found_here = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        process = subprocess.Popen(command, pass_fds=[far.fileno()], env=found_here, stdin=subprocess.DEVNULL)
        far.close()
        self._process, self._end = process, weakref.finalize(self, _end, process)
        self._pipe.send(_qualified_name(self._function))
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _qualified_name(function: Callable[..., Any]) -> str:
    """What pkgutil.resolve_name finds the function by in another process, also where its module runs as a program."""
    module = sys.modules[function.__module__]
    return f"{module.__spec__.name if module.__spec__ else module.__name__}:{function.__qualname__}"


def serve(number: int) -> None:
    """Answer what comes through the pipe of this file descriptor until its other end is closed."""
    pipe = Connection(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the caller's: it ends this process on leaving
    try:
        function = pkgutil.resolve_name(pipe.recv())
    except EOFError:
        return
    while True:
        try:
            arguments, named = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, function(*arguments, **named)
        except Exception as error:  # noqa: BLE001  raised again where the call was made
            answer = False, error
        try:
            pipe.send(answer)
        except ConnectionError:  # the caller is gone
            return
