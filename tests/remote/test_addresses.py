"""dataset.root as an address, against servers on this machine: lists, copies, the manifest, and the stages."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import put, run_python, sentence_of, set_params, settings_of
from file_servers import serve_gs, serve_http, serve_s3, serve_sftp, write_certificate
from sshfs import SSHFileSystem

from mocliplite import files, params
from mocliplite.csv_files import read_csv
from mocliplite.data import contents, index
from mocliplite.errors import Failure, MachineError, UserError
from mocliplite.remote import connection, copies, listing
from stages import index as stages_index
from stages import keyframes, motion

SERVERS = {"s3": serve_s3, "gs": serve_gs, "sftp": serve_sftp, "http": serve_http}
NAMES = ["Run/plain.avi", "Run/a b/c#d \u00fc.avi", "Hop/100%/x?y.avi", "Hop/%41&+.avi"]
LIST = "path,label\n" + "".join(f"{name},{name[:3]}\n" for name in NAMES)
CHANGED = "run `python -m mocliplite manifest`, then `dvc repro`."


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """One attempt per file, and copies in a folder of the test."""
    monkeypatch.setattr(copies, "_PAUSES", (0, None))
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))


@pytest.fixture(params=SERVERS)
def server(request, folder, tmp_path, monkeypatch):
    """The address of a folder `root` with four files and a hidden one, and a function that stops its server."""
    put("root", {name: name for name in [*NAMES, "Run/.hidden.avi"]})
    put(".", {"list.csv": LIST})
    with SERVERS[request.param](tmp_path / "root", monkeypatch) as served:
        yield served
    connection.forget(served[0])


def test_every_file_is_listed_and_copied_and_the_copies_are_deleted(server):
    root, _ = server
    found = listing.list_files(root, [*NAMES, "Run/none.avi"])
    assert {name: found[name][0] for name in NAMES} == {name: len(name.encode()) for name in NAMES}
    assert "Run/none.avi" not in found
    for name in NAMES:
        with copies.local_copy(root, name) as copy:
            assert (copy.read_bytes(), copy.suffix) == (name.encode(), ".avi")
        assert not copy.parent.exists()


def test_index_finds_the_clips_of_the_folder_and_reads_no_file_again(server, monkeypatch):
    root, stop = server
    lists = "list.csv" if root.startswith("http") else "configs/none"
    expected = index.find_clips(settings_of(lists=lists))
    remote = settings_of(root=root, files="m.csv", lists=lists)
    assert index.update_manifest(remote) == (4, 4)
    assert index.update_manifest(remote) == (4, 0)
    stop()
    assert index.find_clips(remote) == expected
    assert list(read_csv("m.csv")[0]) == ["path", "bytes", "version", "sha256"]


def test_a_file_that_is_gone_or_changed_is_a_failure_until_the_manifest_says_so(server):
    root, _ = server
    wanted = Failure(f"{root}/{NAMES[0]} has changed; {CHANGED}", retry=True, transient=True)
    found = copies.call_with_copy(Path.read_text, root, NAMES[0], "0" * 64)
    assert (found, found.transient) == (wanted, True)
    found = copies.call_with_copy(Path.read_text, root, "Run/none.avi", "0" * 64)
    assert (found.reason, found.transient) == (f"{root}/Run/none.avi does not exist any more; {CHANGED}", True)
    found = copies.call_with_copy(Path.read_text, root, "Run/none.avi", "")
    assert found == Failure(f"{root}/Run/none.avi is not a file; check the path.")


def test_a_server_that_does_not_answer_ends_the_run(server):
    root, stop = server
    stop()
    connection.forget(root)
    assert sentence_of(copies.call_with_copy, Path.read_text, root, NAMES[0], "0" * 64).endswith(
        "check the network and the credentials, then run again. Finished shards are kept."
    )
    with pytest.raises(MachineError, match=f"^{root} was not listed "):
        listing.list_files(root, NAMES)


def test_failures_of_a_file_name_its_address(server):
    root, _ = server
    name, digest = NAMES[0], contents.size_and_digest(Path("root", NAMES[0]))[1]

    def fail(path):
        return [Failure(f"{path} has no video stream.", retry=True), 7]

    assert copies.call_with_copy(fail, root, name, digest) == [Failure(f"{root}/{name} has no video stream.", True), 7]
    with pytest.raises(UserError, match=f"^{root}/{name} is bad.$"), copies.local_copy(root, name) as copy:
        raise UserError(f"{copy} is bad.")


def test_the_key_of_an_unknown_ssh_server_is_refused(folder, tmp_path, monkeypatch):
    put("root", {"Run/a.avi": "a"})
    with serve_sftp(tmp_path / "root", monkeypatch, known=False) as (root, _):
        assert "Host key is not trusted" in sentence_of(listing.list_files, root, [])


COPY = """
import sys
from mocliplite.remote import copies, listing
root, *names = sys.argv[1:]
print(sorted(listing.list_files(root, names)) == sorted(names))
for name in names:
    with copies.local_copy(root, name) as copy:
        print(copy.read_text() == name)
"""


def test_the_certificate_of_an_https_server_is_checked(folder, tmp_path, monkeypatch):
    put("root", {name: name for name in NAMES})
    write_certificate(tmp_path / "certificate.pem")
    with serve_http(tmp_path / "root", monkeypatch, tmp_path / "certificate.pem") as (root, _):
        refused = run_python("-c", COPY, root, *NAMES)
        # A process of its own, because aiohttp reads the authorities when it is imported.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        trusted = run_python("-c", COPY, root, *NAMES)
    assert f"{root} was not listed (" in refused.stderr
    assert "certificate verify failed: self-signed certificate" in refused.stderr
    assert trusted.stdout.split() == ["True"] * 5


def test_an_address_without_files_and_a_copy_without_space_are_refused(folder, tmp_path, monkeypatch):
    put("root", {"Run/a.avi": "a" * 1000})
    with serve_sftp(tmp_path / "root", monkeypatch) as (root, _):
        assert sentence_of(listing.list_files, f"{root}/none", []) == (
            f"dataset.root is {root}/none, where no files are; correct the address."
        )
        monkeypatch.setattr(copies.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        found = copies.call_with_copy(Path.read_text, root, "Run/a.avi", "0" * 64)
        assert found.reason == (
            f"{root}/Run/a.avi has 0 MB, but {tmp_path}/copies has 0 MB free; free disk space, or set TMPDIR to"
            " another folder."
        )


class Liar(BaseHTTPRequestHandler):
    """States 10 bytes, and sends up to 64 MB."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client closes the connection
            for _ in range(64):
                self.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


def test_a_copy_ends_when_the_server_sends_more_than_it_stated(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/root"
    with pytest.raises(OSError, match="more than its 10 bytes arrived"):
        copies._copy_once(root, "a.avi", tmp_path / "a.avi")
    assert (tmp_path / "a.avi").stat().st_size < 8 << 20
    found = copies.call_with_copy(Path.read_text, root, "a.avi", "0" * 64)
    wanted = f"{root}/a.avi was not copied (more than its 10 bytes arrived); check the network and the credentials, "
    assert found.reason.startswith(wanted)
    connection.forget(root)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", SERVERS)
def test_every_protocol_tells_how_much_of_a_file_has_arrived(name, folder, tmp_path, monkeypatch):
    put("root", {"Run/a.avi": "a" * 1000})
    with SERVERS[name](tmp_path / "root", monkeypatch) as (root, _):
        system, _ = connection.connect(root)
        monkeypatch.setattr(system, "info", lambda _: {"size": 10})
        with pytest.raises(OSError, match="more than its 10 bytes arrived"):
            copies._copy_once(root, "Run/a.avi", tmp_path / "a.avi")
        connection.forget(root)


def test_a_folder_that_cannot_be_listed_ends_the_listing(folder, tmp_path, monkeypatch):
    put("root", {"Run/a.avi": "a"})
    Path("root/Hop").symlink_to(tmp_path / "root/Run")
    with serve_sftp(tmp_path / "root", monkeypatch) as (root, _):
        wanted = f"{root}/Hop is a link to a folder; put the folder itself there."
        assert sentence_of(listing.list_files, root, []) == wanted
        list_folder = SSHFileSystem._ls

        async def refuse(system, path, **options):
            if path.endswith("Run"):
                raise PermissionError("Permission denied")
            return await list_folder(system, path, **options)

        monkeypatch.setattr(SSHFileSystem, "_ls", refuse)
        connection.forget(root)  # which has the other method
        assert sentence_of(listing.list_files, root, []).startswith(f"{root} was not listed (Permission denied); ")


def test_what_an_address_needs_is_said_before_anything_is_read(monkeypatch):
    wanted = "dataset.root is https://a/b, whose server lists no files; set dataset.lists to a list of the clips."
    assert sentence_of(listing.list_files, "https://a/b", []) == wanted
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    wanted = 'dataset.root s3://a/b needs s3fs, which is not installed; run `pip install ".[s3]"`.'
    assert sentence_of(listing.list_files, "s3://a/b", []) == wanted
    wanted = "dataset.root is nosuch://a/b, which cannot be opened: Protocol not known: nosuch."
    assert sentence_of(listing.list_files, "nosuch://a/b", []) == wanted


def test_copies_of_killed_processes_are_removed_and_those_of_running_ones_are_not(folder, tmp_path, monkeypatch):
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, used = (Path(tempfile.gettempdir(), f"mocliplite-{files._HOST}-{pid}-x") for pid in (ended.pid, os.getpid()))
    for path in (left, used):
        path.mkdir()
    files._remove_old_folders.cache_clear()
    put("root", {"Run/a.avi": "a"})
    with copies.local_copy((tmp_path / "root").as_uri(), "Run/a.avi"):
        assert (left.exists(), used.exists()) == (False, True)


@pytest.mark.parametrize("name", ["s3", "gs", "sftp"])
def test_stages_give_the_same_bytes_and_continue_after_the_server_was_killed(name, small_copy, monkeypatch):
    before = {path: path.read_bytes() for path in small_copy.glob("features/[mk]*/*.h5")}
    with SERVERS[name](small_copy / "clips", monkeypatch) as (root, stop):
        set_params(dataset={"root": root, "files": "m.csv"}, compute={"engine": "inline", "workers": 1})
        index.update_manifest(params.load().dataset)
        stages_index.main()
        shutil.rmtree("features/motion")
        with monkeypatch.context() as patch:
            patch.setattr(copies, "_copy_once", stop_after(5, stop))
            assert "Finished shards are kept." in sentence_of(motion.main)
        kept = set(Path("features/motion").glob("*.h5"))
    with SERVERS[name](small_copy / "clips", monkeypatch) as (root, _):
        set_params(dataset={"root": root})
        shutil.rmtree("features/keyframes")
        motion.main()
        keyframes.main()
    assert {path: path.read_bytes() for path in small_copy.glob("features/[mk]*/*.h5")} == before
    assert 0 < len(kept) < len(list(small_copy.glob("features/motion/*.h5")))
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def stop_after(count, stop):
    """Return a function that copies a file, and stops the server after this number of calls."""
    calls, copy_once = itertools.count(1), copies._copy_once

    def copy(*arguments):
        if next(calls) == count:
            stop()
        copy_once(*arguments)

    return copy
