"""A function in a process of its own, which may crash or hang without harm to the caller."""

import contextlib
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Generic, ParamSpec, TypeVar

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")

_SERVE = "from mocliplite.runtime.subprocess_worker import serve; serve()"
_START_LIMIT = 300  # seconds in which a process has to say that it is there; importing from a network disk takes long


class WorkerDiedError(Exception):
    """The process of a call ended by a signal, or exited; `signal` is its name, such as SIGSEGV."""

    def __init__(self, code: int) -> None:
        self.signal = _signal_name(code)
        super().__init__(self.signal)


class WorkerStartError(Exception):
    """No process can be started, or none that finds the function: no call will go better."""


class SubprocessWorker(Generic[Inputs, Outcome]):
    """Calls `function` in a process that is kept from call to call, and made anew after it died or was ended.

    The function is known by its module and name, its arguments and results travel by pickle, and what it raises is
    raised here. Raises WorkerDiedError where the process dies, TimeoutError where a call takes longer than time_limit
    seconds, WorkerStartError where the process does not get as far as the call.

    memory: MiB that calls may add to what the process takes before the first; beyond it they raise MemoryError or the
    process dies. Only Linux holds to it.
    """

    def __init__(self, function: Callable[Inputs, Outcome], time_limit: float, memory: int | None = None) -> None:
        self._function, self._time_limit, self._memory = function, time_limit, memory
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: Inputs.args, **named: Inputs.kwargs) -> Outcome:
        """function(*arguments, **named), over there."""
        if self._process is None:
            self._start()
        self._send((str(Path.cwd()), arguments, named))
        returned, value = self._answer(self._time_limit)
        if not returned:
            raise value
        return value

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._end()
            self._process = None

    def _start(self) -> None:
        # Not forked: decoders keep threads and locks that a fork would copy in any state. Nor by multiprocessing, which
        # runs the user's script once more over there, and fails where that has no `if __name__ == "__main__"`.
        # Talked to by standard input and output, which every system has.
        found_here = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        command = [sys.executable, "-P", "-c", _SERVE]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=found_here)
        except OSError as error:
            raise WorkerStartError(f"{sys.executable} does not start ({error.strerror})") from None
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._answers = process, SimpleQueue[Any]()
        # A thread waits for the answers: on Windows nothing else can wait for a pipe for a limited time.
        threading.Thread(target=_collect, args=(process.stdout, self._answers), daemon=True).start()
        self._end = weakref.finalize(self, _end, process)
        try:
            self._send((_qualified_name(self._function), self._memory))
            ready, reason = self._answer(_START_LIMIT)
        except (WorkerDiedError, TimeoutError) as error:
            raise WorkerStartError(f"its process ends at once ({str(error) or 'it does not answer'})") from None
        if not ready:
            self.close()
            raise WorkerStartError(reason)

    def _send(self, message: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A process that is gone is told by the answers' end.
        with contextlib.suppress(OSError):
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def _answer(self, limit: float) -> Any:
        try:
            answer = self._answers.get(timeout=limit)
        except Empty:
            self.close()
            raise TimeoutError from None
        if answer is None:
            assert self._process is not None
            code = self._process.wait()
            self.close()
            raise WorkerDiedError(code)
        return answer


def _collect(pipe: IO[bytes], answers: "SimpleQueue[Any]") -> None:
    """Put each answer into the queue, and None after the last."""
    try:
        while True:
            answers.put(pickle.load(pipe))
    # What comes from a process that was ended while it wrote is cut off.
    except Exception:  # noqa: BLE001
        answers.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # What was not sent yet cannot be any more.
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


def _signal_name(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _qualified_name(function: Callable[..., Any]) -> str:
    """What pkgutil.resolve_name finds the function by in another process, also where its module runs as a program."""
    module = sys.modules[function.__module__]
    return f"{module.__spec__.name if module.__spec__ else module.__name__}:{function.__qualname__}"


def serve() -> None:
    """Answer what comes by standard input until it ends; what libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the caller's: it ends this process on leaving
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, OSError):  # the caller is gone
        name, memory = pickle.load(questions)
        try:
            function = pkgutil.resolve_name(name)
            _limit_memory(memory)
        except Exception as error:  # noqa: BLE001  told where the call was made
            _reply(answers, (False, f"{type(error).__name__}: {error}"))
            return
        _reply(answers, (True, ""))
        while True:
            folder, arguments, named = pickle.load(questions)
            try:
                os.chdir(folder)  # arguments may be relative paths, and the caller may have changed its folder
                answer = True, function(*arguments, **named)
            except Exception as error:  # noqa: BLE001  raised again where the call was made
                answer = False, error
            _reply(answers, answer)


def _reply(pipe: IO[bytes], answer: object) -> None:
    pickle.dump(answer, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _limit_memory(memory: int | None) -> None:
    """Let this process take so many MiB of addresses more than it has now, where the system can hold it to that."""
    taken = Path("/proc/self/statm")
    if memory is None or not taken.is_file():
        return
    import resource

    now = int(taken.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    most = now + (memory << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or most <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
