"""Video files that name other files or addresses: nothing but the file itself is read, and none is requested."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from builders import sentence_of
from footage import encode, moving

from mocliplite.motion import inspection

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def requests():
    """An address on this machine, and the paths that were requested from it."""
    requested = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret.ts", requested
    server.shutdown()
    server.server_close()


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>"
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@pytest.mark.parametrize("ending", [".mp4", ".m3u8"])
@pytest.mark.parametrize("place", ["secret.ts", "file", "http", "data:video/mp2t;base64,AAAA"])
def test_a_playlist_is_refused_and_opens_nothing(ending, place, requests):
    address, requested = requests
    encode("secret.ts", moving(frames=5), "libx264")
    target = {"http": address, "file": f"file://{Path('secret.ts').resolve()}"}.get(place, place)
    for number, text in enumerate((HLS, DASH, "ffconcat version 1.0\nfile '{}'\n", SDP, "[Reference]\nRef1={}\n")):
        path = Path(f"{number}{ending}")
        path.write_text(text.format(target))
        sentence = sentence_of(inspection.inspect, str(path))
        endings = ("cannot be decoded", "has no video stream", "is damaged or in a container that is not read")
        assert sentence.startswith(tuple(f"{path} {ending}" for ending in endings))
    assert requested == []


def box(kind, content):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def with_reference(content, reference):
    """Return an MP4 file whose pictures are said to be in another file, and no longer in this one."""
    start = content.index(b"dref") - 4
    old = content[start : start + int.from_bytes(content[start : start + 4], "big")]
    new = box(b"dref", bytes(7) + b"\1" + reference)
    changed, place = bytearray(content), 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        while changed[place + 4 : place + 8] != kind:
            place += int.from_bytes(changed[place : place + 4], "big")
        size = int.from_bytes(changed[place : place + 4], "big") + len(new) - len(old)
        changed[place : place + 4] = size.to_bytes(4, "big")
        place += 8
    changed[start : start + len(old)] = new
    data = changed.index(b"mdat")
    size = int.from_bytes(changed[data - 4 : data], "big") - 8
    changed[data + 4 : data + 4 + size] = bytes(size)
    return bytes(changed)


def alias(name, path):
    """Return the reference of QuickTime to a file of this name at a path."""
    padded = path + b"\0" * (len(path) % 2)
    disk = bytes(14) + b"\4disk".ljust(28, b"\0") + bytes(12)
    file = bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + b"\0\1\0\1" + bytes(16)
    return disk + file + b"\0\2" + len(path).to_bytes(2, "big") + padded + b"\xff\xff\0\0"


@pytest.mark.parametrize("kind", [b"url ", b"alis"])
def test_pictures_in_another_file_are_not_read(kind):
    encode("secret.mp4", moving(frames=5), "libx264")
    target = str(Path("secret.mp4").resolve()).encode()
    reference = bytes(4) + (b"file://" + target + b"\0" if kind == b"url " else alias(b"secret.mp4", target))
    Path("a.mov").write_bytes(with_reference(Path("secret.mp4").read_bytes(), box(kind, reference)))
    assert sentence_of(inspection.inspect, "a.mov") == "a.mov has no frame that can be decoded; replace or remove it."


def test_a_container_that_is_not_listed_is_not_opened():
    encode("a.nut", moving(frames=5), "mpeg4")
    assert sentence_of(inspection.inspect, "a.nut").startswith("a.nut is damaged or in a container that is not read;")
