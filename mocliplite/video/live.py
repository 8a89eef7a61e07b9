"""Opening what has no file: a network stream, a capture device, or standard input."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from mocliplite.errors import UserError
from mocliplite.video.streams import CONTAINERS, Limits, OpenStream, checked_stream

STDIN = "-"
# What FFmpeg may open for an address, by its scheme. It opens no other protocol, even if the stream names it.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,tls,tcp",
}
# Besides the containers of clips, those of cameras, servers and pipes. Not playlists (hls, dash, concat, sdp), which
# name other addresses of the same protocol.
_CONTAINERS = (*CONTAINERS, "rtsp", "rtp", "live_flv", "mpjpeg", "mjpeg", "nut")
_TIMEOUT = 10.0  # seconds without an answer or a packet


def check_address(address: str) -> None:
    """Raise UserError unless an address is one that open_live can open."""
    if address != STDIN and not Path(address).is_char_device() and _scheme(address) not in PROTOCOLS:
        known = ", ".join(f"{name}://" for name in PROTOCOLS)
        raise UserError(
            f"{address} is neither a video device nor - nor an address ({known}); for a file, use predict --window."
        )


def _scheme(address: str) -> str:
    # Not urlsplit, which raises ValueError for some addresses, such as rtsp://[camera.
    scheme, separator, _ = address.partition("://")
    return scheme.lower() if separator else ""


@contextmanager
def open_live(address: str, limits: Limits) -> Iterator[OpenStream]:
    """Open a network address, a Linux video device such as /dev/video0, or - for standard input.

    Errors of FFmpeg in the block become UserError.
    """
    try:
        with _container(address) as container:
            yield checked_stream(address, container, limits)
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{address} cannot be read ({error.strerror or type(error).__name__}).") from None


def _container(address: str) -> InputContainer:
    if Path(address).is_char_device():
        return av.open(address, format="v4l2", container_options={"protocol_whitelist": "file"})
    options = {"format_whitelist": ",".join(_CONTAINERS)}
    try:
        if address == STDIN:
            file = os.fdopen(os.dup(0), "rb", buffering=0)
            return av.open(file, metadata_errors="replace", container_options={**options, "protocol_whitelist": "none"})
        # FFmpeg follows a redirect of http to any address. One of rtsp it follows, too, and no option prevents it.
        options |= {"protocol_whitelist": PROTOCOLS[_scheme(address)], "max_redirects": "0"}
        return av.open(address, metadata_errors="replace", container_options=options, timeout=_TIMEOUT)
    except av.ArgumentError:
        raise UserError(
            f"{address} is a playlist, in a container that is not read, or no complete address; correct the address, "
            "or convert the stream to MPEG-TS and give it to `watch -`."
        ) from None
    except OSError as error:
        if error.errno != errno.EIO or _scheme(address) not in ("http", "https"):
            raise
        raise UserError(
            f"{address} cannot be read ({error.strerror}); if it redirects to another address, give that one."
        ) from None
