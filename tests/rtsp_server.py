"""An RTSP server for the tests of `watch`, run with the system's Python, which has the bindings of GStreamer.

Usage: /usr/bin/python3 tests/rtsp_server.py VIDEO.ts PORT LOSS. It serves the H.264 stream of an MPEG-TS file at
rtsp://127.0.0.1:PORT/film, from the start for each client, at the speed of playing, and drops the share LOSS of the
packets.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(path, port, loss):
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( filesrc location={path} ! tsdemux ! h264parse config-interval=1 ! rtph264pay name=pay0 pt=96 )"
    )
    if float(loss):
        factory.connect("media-configure", lambda _, media: drop(media, float(loss)))
    server = GstRtspServer.RTSPServer()
    server.set_service(port)
    server.get_mount_points().add_factory("/film", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def drop(media, loss):
    """Drop packets between payloader and network."""
    import random

    generator = random.Random(0)
    payloader = media.get_element().get_by_name("pay0")

    def probe(pad, info):
        lost = generator.random() < loss
        return Gst.PadProbeReturn.DROP if lost else Gst.PadProbeReturn.OK

    # As single packets: the payloader sends lists of them.
    mask = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
    payloader.get_static_pad("src").add_probe(mask, probe)


if __name__ == "__main__":
    main(*sys.argv[1:])
