"""The process of the server: its socket, its start and its end."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn

from mocliplite.errors import UserError
from mocliplite.interrupts import signal_of
from mocliplite.serving.api import application
from mocliplite.serving.batches import Batches, Predict
from mocliplite.serving.clips import Settings
from mocliplite.serving.connections import ACCEPTED, accept_failures, limited

LINGER = 0.5  # seconds in which requests on open connections are still refused with an answer
BACKLOG = 2048  # connections that the system keeps until they are accepted
GRACE = 8  # seconds for answers after a signal to stop; the signals of Docker and Kubernetes leave 10 and 30


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 stands for any. Raises UserError if the address cannot be used."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except (OSError, OverflowError, TypeError) as error:  # TypeError: no name of a host
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host {host} --port {port} cannot be served ({reason}); give another port or host."
        ) from None


def serve(predict: Predict, settings: Settings, listener: socket.socket) -> None:
    """Answer requests with predict, the method of a recogniser, until SIGINT, SIGTERM or SIGHUP."""
    if hasattr(signal, "SIGHUP"):  # of which uvicorn knows nothing
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        new_server(predict, settings).run([listener])
    except KeyboardInterrupt as interrupt:  # uvicorn raises the signal again after the end
        # A normal exit would wait for the threads of a batch that takes longer than GRACE.
        sys.stdout.flush()
        number = signal_of(interrupt)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def new_server(predict: Predict, settings: Settings) -> uvicorn.Server:
    """Return a server. At its end, the clips in the current batch are still answered, and others get status 503."""
    app = application(predict, settings)
    config = uvicorn.Config(
        app,
        # Not uvloop, even where it is installed: it accepts any number of connections at a time.
        loop="asyncio",
        http=limited(settings.time_limit, settings.connections),
        backlog=ACCEPTED,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
    )
    return _Server(config, app.state.batches)


class _Server(uvicorn.Server):
    """Says when it is ready, and refuses waiting clips before it waits for the end of open connections."""

    def __init__(self, config: uvicorn.Config, batches: Batches) -> None:
        super().__init__(config)
        self._batches = batches

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal; a second one ends the process at once."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(accept_failures())
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # asyncio has given the system ACCEPTED as this number, too
            host, port, *_ = listener.getsockname()
            shown = f"[{host}]" if ":" in host else host
            print(f"Serving at http://{shown}:{port}/; press Ctrl-C to stop.", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._batches.stop()
        # A client may be sending its next request on an idle connection, which uvicorn closes at once.
        await asyncio.sleep(LINGER)
        await super().shutdown(sockets)
