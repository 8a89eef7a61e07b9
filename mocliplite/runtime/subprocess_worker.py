"""Calls of a function in a separate process, which may crash or hang without affecting the caller."""

import contextlib
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Generic, ParamSpec, TypeVar

from mocliplite import interrupts

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")

_SERVE = "from mocliplite.runtime.subprocess_worker import serve; serve()"
_NEXT, _END = "next", "end"  # the request for an item of an iterator, and the reply after the last one
_START_LIMIT = 300  # seconds until a new process must be ready; importing from a network disk takes long


class WorkerDiedError(Exception):
    """The process of a call exited or was killed. `signal` is the name of the signal, or "exit status N"."""

    def __init__(self, code: int) -> None:
        self.signal = _signal_name(code)
        super().__init__(self.signal)


class WorkerStartError(Exception):
    """No process can be started, or it cannot import the function, so every call would fail."""


class SubprocessWorker(Generic[Inputs, Outcome]):
    """Calls `function` in a process that is reused, and replaced by a new one after it died or was killed.

    The process imports the function by module and name. Arguments, results and exceptions are transferred by pickle.
    Raises WorkerDiedError if the process dies, TimeoutError if a call takes longer than time_limit seconds, and
    WorkerStartError if the process cannot be started.

    memory: MiB that calls may allocate in addition to the memory of the new process. Beyond it, calls raise MemoryError
    or the process dies. Only Linux enforces the limit.
    """

    def __init__(self, function: Callable[Inputs, Outcome], time_limit: float, memory: int | None = None) -> None:
        self._function, self._time_limit, self._memory = function, time_limit, memory
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: Inputs.args, **keywords: Inputs.kwargs) -> Outcome:
        """Return function(*arguments, **keywords), called in the process."""
        if self._process is None:
            self._start()
        self._send((str(Path.cwd()), arguments, keywords))
        returned, value = self._receive(self._time_limit)
        if not returned:
            raise value
        return value

    def items(self, *arguments: Inputs.args, **keywords: Inputs.kwargs) -> Iterator[Any]:
        """Yield the items of the iterator that function(*arguments) returns; each is computed while the last is used.

        The time limit is that of one item. The process is killed unless all items are taken.
        """
        complete = False
        try:
            self(*arguments, **keywords)
            self._send(_NEXT)
            while (reply := self._receive(self._time_limit)) != (True, _END):
                returned, value = reply
                if not returned:
                    raise value
                self._send(_NEXT)
                yield value
            complete = True
        finally:
            if not complete:
                self.close()

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._end()
            self._process = None

    def _start(self) -> None:
        # Not forked, because a fork copies threads and locks of decoders in any state. Not started by multiprocessing,
        # because that runs the script of the user again in the process, and fails if the script has no
        # `if __name__ == "__main__"`. Standard input and output work as pipes on every system.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        command = [sys.executable, "-P", "-c", _SERVE]
        try:
            with interrupts.blocked():
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        except OSError as error:
            raise WorkerStartError(f"{sys.executable} does not start ({error.strerror})") from None
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._replies = process, SimpleQueue[Any]()
        # A thread reads the replies, because on Windows a read from a pipe has no timeout.
        threading.Thread(target=_collect_replies, args=(process.stdout, self._replies), daemon=True).start()
        self._end = weakref.finalize(self, _end, process)
        try:
            self._send((_qualified_name(self._function), self._memory))
            ready, reason = self._receive(_START_LIMIT)
        except (WorkerDiedError, TimeoutError) as error:
            raise WorkerStartError(f"its process stops at once ({str(error) or 'it does not reply'})") from None
        if not ready:
            self.close()
            raise WorkerStartError(reason)

    def _send(self, message: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # If the process has died, _receive raises the error.
        with contextlib.suppress(OSError):
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def _receive(self, limit: float) -> Any:
        try:
            reply = self._replies.get(timeout=limit)
        except Empty:
            self.close()
            raise TimeoutError from None
        if reply is None:
            assert self._process is not None
            code = self._process.wait()
            self.close()
            raise WorkerDiedError(code)
        return reply


def _collect_replies(pipe: IO[bytes], replies: "SimpleQueue[Any]") -> None:
    """Put each reply into the queue, and None after the last one."""
    try:
        while True:
            replies.put(pickle.load(pipe))
    # The last reply is incomplete if the process was killed while it wrote.
    except Exception:  # noqa: BLE001
        replies.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # Unsent data can no longer be sent.
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
    """Return the name for pkgutil.resolve_name in another process, also for a module that runs as a program."""
    module = sys.modules[function.__module__]
    return f"{module.__spec__.name if module.__spec__ else module.__name__}:{function.__qualname__}"


def serve() -> None:
    """Answer requests from standard input until it is closed. Output of libraries is redirected to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles interrupts and kills this process
    interrupts.unblock()
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    received = SimpleQueue[Any]()
    threading.Thread(target=_collect_requests, args=(requests, received), daemon=True).start()
    with contextlib.suppress(OSError):  # the caller has exited
        name, memory = received.get()
        try:
            function = pkgutil.resolve_name(name)
            _limit_memory(memory)
        except Exception as error:  # noqa: BLE001  reported by the caller
            _reply(replies, (False, f"{type(error).__name__}: {error}"))
            return
        _reply(replies, (True, ""))
        items: Iterator[Any] = iter(())
        while True:
            request = received.get()
            try:
                if request == _NEXT:
                    reply = True, next(items, _END)
                else:
                    folder, arguments, keywords = request
                    # Arguments may be relative paths, and the caller may have changed its working folder.
                    os.chdir(folder)
                    reply = True, function(*arguments, **keywords)
                if isinstance(reply[1], Iterator):
                    items, reply = reply[1], (True, None)
            except Exception as error:  # noqa: BLE001  raised by the caller
                reply = False, error
            _reply(replies, reply)


def _collect_requests(pipe: IO[bytes], received: "SimpleQueue[Any]") -> None:
    """Put each request into the queue. After the last one the caller has exited, and so does this process, at once.

    It also exits, with a traceback, after a request that cannot be read, such as one that is larger than the memory.
    """
    status = 1
    try:
        while True:
            received.put(pickle.load(pipe))
    except (EOFError, OSError, pickle.UnpicklingError):  # the last one is incomplete if the caller was killed
        status = 0
    except Exception:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(status)


def _reply(pipe: IO[bytes], reply: object) -> None:
    pickle.dump(reply, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _limit_memory(memory: int | None) -> None:
    """Limit the address space to so many MiB more than this process uses now, if the system supports it."""
    statistics = Path("/proc/self/statm")
    if memory is None or not statistics.is_file():
        return
    import resource

    current = int(statistics.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    limit = current + (memory << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
