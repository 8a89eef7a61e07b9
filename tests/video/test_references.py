"""Videos that name other files or addresses: nothing but the file or stream itself is read, and none is requested."""

import io
import os
import socket
from pathlib import Path

import pytest
from builders import sentence_of
from file_servers import serve_answers
from footage import encode, moving
from PIL import Image

from mocliplite.motion import inspection
from mocliplite.video import live, streams

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def requests():
    """An address on this machine, and the paths that were requested from it."""
    with serve_answers({}) as (address, requested):
        yield f"{address}/secret.ts", requested


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>"
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
PLAYLISTS = (HLS, DASH, CONCAT, SDP, "[Reference]\nRef1={}\n")


@pytest.mark.parametrize("ending", [".mp4", ".m3u8"])
@pytest.mark.parametrize("place", ["secret.ts", "file", "http", "data:video/mp2t;base64,AAAA"])
def test_a_playlist_is_refused_and_opens_nothing(ending, place, requests):
    address, requested = requests
    encode("secret.ts", moving(frames=5), "libx264")
    target = {"http": address, "file": f"file://{Path('secret.ts').resolve()}"}.get(place, place)
    for number, text in enumerate(PLAYLISTS):
        path = Path(f"{number}{ending}")
        path.write_text(text.format(target))
        sentence = sentence_of(inspection.inspect, str(path))
        endings = ("cannot be decoded", "has no video stream", "is damaged or in a container that is not read")
        assert sentence.startswith(tuple(f"{path} {ending}" for ending in endings))
    assert requested == []


@pytest.mark.parametrize("place", ["file", "http"])
def test_no_protocol_is_open_to_a_container_that_names_files(place, requests, monkeypatch):
    """The list of containers refuses playlists. Should one of its demuxers follow a name, this leads nowhere either."""
    monkeypatch.setattr(streams, "CONTAINERS", (*streams.CONTAINERS, "hls", "concat"))
    address, requested = requests
    encode("secret.ts", moving(frames=5), "libx264")
    target = {"http": address, "file": f"file://{Path('secret.ts').resolve()}"}[place]
    for path, text in (("a.m3u8", HLS), ("a.txt", CONCAT)):
        Path(path).write_text(text.format(target))
        assert sentence_of(inspection.inspect, path).startswith((f"{path} cannot be decoded", f"{path} has no video"))
    assert requested == []


def first_picture(address):
    with live.open_live(address, streams.DEFAULT_LIMITS) as stream:
        return stream.container.format.name, next(stream.container.decode(stream.stream)).to_ndarray(format="gray")


REFUSED = " is a playlist, in a container that is not read, or no complete address; correct the address, "


@pytest.mark.parametrize("text", PLAYLISTS)
@pytest.mark.parametrize("ending", [".ts", ".m3u8"])
def test_a_playlist_at_an_address_is_refused_and_opens_nothing(ending, text, requests):
    secret, requested = requests
    playlist = text.format(secret).encode()
    answers = {f"/a{ending}": (200, {"Content-Type": "application/vnd.apple.mpegurl"}, playlist)}
    with serve_answers(answers) as (address, opened):
        sentence = sentence_of(first_picture, f"{address}/a{ending}")
    assert sentence.startswith((f"{address}/a{ending}{REFUSED}", f"{address}/a{ending} cannot be read"))
    assert (opened, requested) == ([f"/a{ending}"], [])


@pytest.mark.parametrize("name", ["list", "a.swf"])
def test_a_playlist_and_a_container_that_is_not_listed_are_refused_at_standard_input(name, monkeypatch):
    Path("list").write_text(CONCAT.format("secret.ts"))
    encode("a.swf", moving(frames=5), "flv")
    monkeypatch.setattr(os, "dup", lambda _: os.open(name, os.O_RDONLY))
    assert sentence_of(first_picture, "-").startswith(f"-{REFUSED}")


@pytest.mark.parametrize("scheme", ["rtsp", "rtp"])
def test_a_protocol_of_cameras_is_no_container_that_is_not_read(scheme, monkeypatch):
    monkeypatch.setattr(live, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        assert sentence_of(first_picture, address).startswith(f"{address} cannot be read (")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status, requests):
    secret, requested = requests
    with serve_answers({"/a.ts": (status, {"Location": secret}, b"")}) as (address, opened):
        sentence = sentence_of(first_picture, f"{address}/a.ts")
    assert sentence.startswith(f"{address}/a.ts cannot be read (")
    assert sentence.endswith("); if it redirects to another address, give that one.")
    assert (opened, requested) == (["/a.ts"], [])


def check_first_picture(path, name, monkeypatch):
    """Check that the picture from an address is that from standard input, and that the container has this name."""
    with serve_answers({"/a": (200, {}, Path(path).read_bytes())}) as (address, _):
        found, picture = first_picture(f"{address}/a")
    assert name in found.split(",")
    assert picture.shape == (144, 176)
    monkeypatch.setattr(os, "dup", lambda _: os.open(path, os.O_RDONLY))
    assert first_picture("-")[1].tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("ending", "name"), [("ts", "mpegts"), ("mp4", "mp4"), ("mkv", "matroska"), ("flv", "flv"), ("nut", "nut")]
)
def test_containers_of_streams_are_read_from_an_address_and_from_standard_input(ending, name, monkeypatch):
    check_first_picture(encode(f"a.{ending}", moving(frames=5), "libx264"), name, monkeypatch)


def test_the_pictures_of_a_webcam_are_read_from_an_address_and_from_standard_input(monkeypatch):
    with Path("a").open("wb") as file:
        for picture in moving(frames=5):
            jpeg = io.BytesIO()
            Image.fromarray(picture).save(jpeg, "JPEG")
            size = jpeg.getbuffer().nbytes
            file.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % size)
            file.write(jpeg.getvalue() + b"\r\n")
    check_first_picture("a", "mpjpeg", monkeypatch)


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
