"""`serve`: an HTTP server that classifies clips."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from mocliplite.cli._shared import add_model, compute, positive_int, time_limit
from mocliplite.errors import UserError

HELP = "serve predictions over HTTP"
EXAMPLE = "example: python -m mocliplite serve --port 8000 --root recordings/"
USES_MODELS = True

TOKEN = "MOCLIPLITE_TOKEN"  # environment variable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add_model(parser)
    add("--host", default="127.0.0.1", help=f"address to serve at; one that others reach needs {TOKEN} (127.0.0.1)")
    add("--port", type=int, default=8000, help="port to serve at; 0 for any (8000)")
    add("--root", metavar="FOLDER", help="folder whose files requests may name (none: uploads only)")
    add("--max-size", type=positive_int, default=200, metavar="MIB", help="of an upload (200)")
    add("--time-limit", type=time_limit, default=30, metavar="SECONDS", help="of an upload, and of decoding it (30)")
    add("--queue", type=positive_int, default=64, metavar="N", help="requests at a time; more are refused (64)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="device of the networks (auto)")


def run(given: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from mocliplite.serving import access, server
    from mocliplite.serving.clips import Settings
    from mocliplite.serving.connections import most_connections

    token = os.environ.get(TOKEN) or None
    if token is not None and (problem := access.token_problem(token)):
        raise UserError(f"{TOKEN} {problem}; set it to letters and digits.")
    if token is None and not access.is_loopback(given.host):
        raise UserError(
            f"--host is {given.host}, which other machines reach; set {TOKEN} in the environment to a secret."
        )
    if given.root is not None and not Path(given.root).is_dir():
        raise UserError(f"--root is {given.root}, which is not a folder; correct the path.")
    root = None if given.root is None else Path(given.root).resolve()
    connections = most_connections(given.queue)
    settings = Settings(root, token, given.max_size << 20, given.time_limit, given.queue, connections)
    with server.listen(given.host, given.port) as listener:
        from mocliplite.predict.recognizer import Recognizer

        # In processes whatever params.yaml says: a clip that crashes the decoder must not end the server.
        local = replace(compute(), engine="processes", device=given.device, time_limit=given.time_limit)
        server.serve(Recognizer.load(given.model, local, given.revision).predict, settings, listener)
