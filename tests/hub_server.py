"""A hub on this machine: as much of the Hugging Face hub's HTTP protocol as its client needs to upload and download."""

import base64
import hashlib
import http.server
import json
import math
import re
import threading
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_ann"
_REPOSITORY = r"(?P<data>datasets/)?(?P<name>[^/]+/[^/]+)"
_API = r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"


class Hub:
    """Repositories by (kind, name): the list of their commits, each the content of all files by path."""

    def __init__(self):
        self.commits = {}
        self.private = {}
        self.blobs = {}  # large files, by SHA-256
        self.requests = []
        self.most = math.inf  # bytes after which a connection breaks off
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def put(self, name, files, kind="model"):
        """Make a commit with these files alone; return its digest."""
        self.commits.setdefault((kind, name), []).append(dict(files))
        return self.digest(kind, name)

    def files(self, name, kind="model"):
        """Return the files of the last commit by path."""
        return self.commits[kind, name][-1]

    def digest(self, kind, name):
        """Return the digest of the last commit."""
        return hashlib.sha1(f"{kind} {name} {len(self.commits[kind, name])}".encode()).hexdigest()

    def at(self, kind, name, revision):
        """Return the files at a revision, None if there is no such."""
        for number, files in enumerate(self.commits[kind, name], 1):
            if revision == hashlib.sha1(f"{kind} {name} {number}".encode()).hexdigest():
                return files
        return self.commits[kind, name][-1] if revision == "main" else None


def _handler(hub):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer_with(_READ)

        def do_POST(self):
            self._answer_with(_WRITE)

        do_HEAD = do_GET  # noqa: N815
        do_PUT = do_POST  # noqa: N815

        def _answer_with(self, routes):
            path = unquote(urlsplit(self.path).path)
            body = self._body()
            hub.requests.append((self.command, path))
            status, headers, content = 404, {"X-Error-Code": "RepoNotFound"}, b""
            if routes is _WRITE and self.command == "POST" and self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, headers = 401, {}
            else:
                for pattern, route in routes:
                    if match := re.fullmatch(pattern, path):
                        status, headers, content = route(hub, match, body)
                        break
            if not isinstance(content, bytes):
                headers, content = {"Content-Type": "application/json", **headers}, json.dumps(content).encode()
            if status == 200 and self.headers["Range"]:
                first = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
                hub.requests.append(("Range", first))
                headers = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}", **headers}
                status, content = 206, content[first:]
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            sent = b"" if self.command == "HEAD" else content[: min(hub.most, len(content))]
            self.wfile.write(sent)
            self.close_connection |= len(sent) < len(content) and self.command == "GET"

        def _body(self):
            if self.headers["Transfer-Encoding"] != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"] or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *_):
            pass

    return Handler


def _files_at(hub, match):
    """Return (kind, name, files at the revision) for a request, or the answer that there is no such."""
    groups = match.groupdict()
    kind = groups.get("kind") or ("dataset" if groups.get("data") else "model")
    if (kind, groups["name"]) not in hub.commits:
        return None, (404, {"X-Error-Code": "RepoNotFound"}, b"")
    files = hub.at(kind, groups["name"], groups.get("revision") or "main")
    if files is None:
        return None, (404, {"X-Error-Code": "RevisionNotFound"}, b"")
    return (kind, groups["name"], files), None


def _describe(hub, match, _):
    found, missing = _files_at(hub, match)
    if missing:
        return missing
    kind, name, files = found
    revision = match["revision"] or "main"
    sha = hub.digest(kind, name) if revision == "main" else revision
    siblings = [{"rfilename": path} for path in files]
    return 200, {}, {"id": name, "sha": sha, "siblings": siblings, "private": hub.private.get(name, False)}


def _list(hub, match, _):
    found, missing = _files_at(hub, match)
    return missing or (200, {}, [_entry(path, content) for path, content in sorted(found[2].items())])


def _entry(path, content):
    return {"type": "file", "path": path, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}


def _read(hub, match, _):
    found, missing = _files_at(hub, match)
    if missing:
        return missing
    if match["path"] not in found[2]:
        return 404, {"X-Error-Code": "EntryNotFound"}, b""
    content = found[2][match["path"]]
    revision = hub.digest(*found[:2]) if match["revision"] == "main" else match["revision"]
    return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": revision}, content


def _create(hub, _, body):
    wanted = json.loads(body)
    name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
    kind = wanted.get("type") or "model"
    if (kind, name) in hub.commits:
        return 409, {}, {"url": f"{hub.address}/{name}"}
    hub.commits[kind, name] = [{}]
    hub.private[name] = wanted.get("private", wanted.get("visibility") == "private")
    return 200, {}, {"url": f"{hub.address}/{name}"}


def _upload_modes(*request):
    files = json.loads(request[2])["files"]
    modes = ["lfs" if file["path"].endswith((".safetensors", ".h5")) else "regular" for file in files]
    answers = [
        {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        for file, mode in zip(files, modes, strict=True)
    ]
    return 200, {}, {"files": answers}


def _upload_places(hub, _, body):
    places = [
        {**blob, "actions": {"upload": {"href": f"{hub.address}/blobs/{blob['oid']}", "header": {}}}}
        for blob in json.loads(body)["objects"]
    ]
    return 200, {"Content-Type": "application/vnd.git-lfs+json"}, {"transfer": "basic", "objects": places}


def _store_blob(hub, match, body):
    assert hashlib.sha256(body).hexdigest() == match["oid"]
    hub.blobs[match["oid"]] = body
    return 200, {}, b""


def _commit(hub, match, body):
    found, missing = _files_at(hub, match)
    if missing:
        return missing
    kind, name, files = found
    files = dict(files)
    for line in body.splitlines():
        change = json.loads(line)
        value = change["value"]
        if change["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif change["key"] == "lfsFile":
            files[value["path"]] = hub.blobs[value["oid"]]
        elif change["key"] == "deletedFile":
            del files[value["path"]]
    digest = hub.put(name, files, kind)
    prefix = "datasets/" if kind == "dataset" else ""
    return 200, {}, {"commitUrl": f"{hub.address}/{prefix}{name}/commit/{digest}", "commitOid": digest}


_READ = (
    (rf"{_API}(/revision/(?P<revision>[^/]+))?", _describe),
    (rf"{_API}/tree/(?P<revision>[^/]+)", _list),
    (rf"/{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _read),
)
_WRITE = (
    (r"/api/repos/create", _create),
    (r"/api/validate-yaml", lambda *_: (200, {}, {"errors": [], "warnings": []})),
    (rf"{_API}/preupload/main", _upload_modes),
    (rf"/{_REPOSITORY}\.git/info/lfs/objects/batch", _upload_places),
    (r"/blobs/(?P<oid>[0-9a-f]+)", _store_blob),
    (rf"{_API}/commit/(?P<revision>main)", _commit),
)
