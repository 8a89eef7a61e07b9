"""The clips of all requests, classified in batches by one thread."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mocliplite.errors import UserError
from mocliplite.predict.decoding import BATCH

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Prediction

STOPPING = "the server is stopping; send the clip again when it has started."

Predict = Callable[[Iterable[str]], "Iterator[Prediction | UserError]"]


class UnavailableError(Exception):
    """The server does not take a clip now. The message says why, and what to do."""


class RecognizerError(Exception):
    """The recogniser failed, for a reason that is not the clip; `__cause__` is its exception."""


class Batches:
    """A bounded queue in front of a recogniser. Except for predict, everything runs in the event loop.

    predict: the method of a recogniser; called in a thread with the clips that wait, up to BATCH.
    limit: number of requests that may be uploading, waiting or in a batch.
    """

    def __init__(self, predict: Predict, limit: int) -> None:
        self._predict, self.limit = predict, limit
        self._waiting: asyncio.Queue[tuple[str, asyncio.Future[Prediction | UserError]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1)
        self.requests, self.batches, self.stopping = 0, 0, False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count the request of the block. Raises UnavailableError beyond `limit`, and while the server stops."""
        if self.stopping:
            raise UnavailableError(STOPPING)
        if self.requests >= self.limit:
            raise UnavailableError(f"the server has {self.limit} clips to classify; send the clip again later.")
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def classify(self, path: str) -> "Prediction | UserError":
        """Return the prediction of a clip; for a clip that cannot be used, the UserError.

        Raises UnavailableError if the server stops before the clip is in a batch, and RecognizerError.
        """
        if self.stopping:
            raise UnavailableError(STOPPING)
        answer = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((path, answer))
        return await answer

    async def run(self) -> None:
        """Classify the clips that come, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            self.batches += 1
            paths = [path for path, _ in batch]
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, paths)
            for (_, answer), value in zip(batch, found, strict=True):
                if answer.done():  # its request was cancelled
                    continue
                if isinstance(value, RecognizerError):
                    answer.set_exception(value)
                else:
                    answer.set_result(value)

    def stop(self) -> None:
        """Refuse the clips that wait, and new ones. The batch that has begun is answered."""
        self.stopping = True
        while not self._waiting.empty():
            _, answer = self._waiting.get_nowait()
            if not answer.done():
                answer.set_exception(UnavailableError(STOPPING))

    def _answers(self, paths: Sequence[str]) -> "list[Prediction | UserError | RecognizerError]":
        try:
            return [*self._predict(paths)]
        except Exception as error:  # noqa: BLE001  reported to the request, and the next batch goes on
            if len(paths) > 1:  # alone, so that a clip for which the recogniser fails does not affect the others
                return [answer for path in paths for answer in self._answers([path])]
            failure = RecognizerError(str(error))
            failure.__cause__ = error
            return [failure]
