"""Servers on this machine whose files are those of a folder: S3 (moto), SFTP (asyncssh) and HTTP."""

import asyncio
import http.server
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest


@contextmanager
def serve_http(folder, monkeypatch):
    """Yield the address of the folder, and a function that stops the server."""
    handler = partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    yield f"http://127.0.0.1:{server.server_port}", stop
    stop()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serve_s3(folder, monkeypatch):
    """Yield the address of a copy of the folder in a bucket, and a function that stops the server."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    pytest.importorskip("flask", reason="moto[server] is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    import boto3

    server = moto.ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**environment, "ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    bucket = f"archive-{port}"  # of its own, because moto keeps the buckets of earlier servers
    client.create_bucket(Bucket=bucket)
    for path in Path(folder).rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket, f"my clips/{path.relative_to(folder)}")
    s3fs.S3FileSystem.clear_instance_cache()  # which has the port of an earlier server
    yield f"s3://{bucket}/my clips", server.stop
    server.stop()


@contextmanager
def serve_sftp(folder, monkeypatch, known=True):
    """Yield the address of the folder, and a function that stops the server.

    known: whether the user knows the key of the server.
    """
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    connections = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn):
            connections.append(conn)

        def begin_auth(self, username):
            return False

    def sftp(channel):
        return asyncssh.SFTPServer(channel, chroot=str(folder.parent).encode())

    async def start():
        return await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Server, sftp_factory=sftp)

    threading.Thread(target=loop.run_forever, daemon=True).start()
    listener = asyncio.run_coroutine_threadsafe(start(), loop).result()
    port = listener.get_port()
    home = Path(folder).parent / "home"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    known_hosts = f"[127.0.0.1]:{port} {key.export_public_key().decode()}" if known else ""
    (home / ".ssh/known_hosts").write_text(known_hosts)
    monkeypatch.setenv("HOME", str(home))

    async def close():
        listener.close()
        for connection in connections:
            connection.abort()

    def stop():
        asyncio.run_coroutine_threadsafe(close(), loop).result()

    yield f"sftp://ann@127.0.0.1:{port}/{folder.name}", stop
    stop()
    loop.call_soon_threadsafe(loop.stop)
