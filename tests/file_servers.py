"""Servers on this machine whose files are those of a folder: S3, Google Cloud Storage, SFTP, HTTP, HTTPS. And one with
answers of the test.
"""

import asyncio
import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest


@contextmanager
def serve_http(folder, monkeypatch, certificate=None):
    """Yield the address of the folder, and a function that stops the server. With a certificate it is of https."""
    handler = partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}", stop
    stop()


@contextmanager
def serve_answers(answers):
    """Yield the address of a server, and the list of the paths that were requested from it.

    answers: status, headers and content by path. The server does not have any other path.
    """
    requested = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            status, headers, content = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()
    server.server_close()


def write_certificate(path):
    """Write a new key and a certificate of this machine, which is its own authority, to one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=True)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        certificate.sign(key, hashes.SHA256()).public_bytes(encoding)
        + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )


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
def serve_gs(folder, monkeypatch):
    """Yield the address of a copy of the folder in a bucket, and a function that stops the server."""
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # an interface that the server does not have
    gcsfs = pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="archive")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcsfs.GCSFileSystem.clear_instance_cache()  # which has the port of an earlier server
    system = gcsfs.GCSFileSystem()
    for path in Path(folder).rglob("*"):
        if path.is_file():
            system.pipe_file(f"archive/my clips/{path.relative_to(folder)}", path.read_bytes())
    running = [server]

    def stop():
        for one in running:
            one.stop()
        running.clear()

    yield "gs://archive/my clips", stop
    stop()


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
