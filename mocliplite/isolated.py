"""A function in a process of its own, which may crash or hang without harm to the caller."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Generic, ParamSpec, TypeVar

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")


class DiedError(Exception):
    """The process of a call ended by a signal, or exited; `signal` is its name, such as SIGSEGV."""

    def __init__(self, code: int | None) -> None:
        self.signal = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
        super().__init__(self.signal)


class Isolated(Generic[Inputs, Outcome]):
    """Calls `function` in a process that is kept from call to call, and made anew after it died or was ended.

    The function is known by its module and name, its arguments and results travel by pickle, and what it raises is
    raised here. Raises DiedError where the process does, TimeoutError where a call takes longer than time_limit
    seconds.
    """

    def __init__(self, function: Callable[Inputs, Outcome], time_limit: float) -> None:
        self._function, self._time_limit = function, time_limit
        self._process: multiprocessing.process.BaseProcess | None = None

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
            process.join()
            self.close()
            raise DiedError(process.exitcode) from None
        if not returned:
            raise value
        return value

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> multiprocessing.process.BaseProcess:
        # Spawned, not forked: decoders keep threads and locks that a fork would copy in any state.
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        # Daemonic: it ends with this process.
        process = context.Process(target=_serve, args=(self._function, far), daemon=True)
        process.start()
        far.close()
        self._process = process
        return process


def _serve(function: Callable[..., Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the caller's: it ends this process on leaving
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
