"""`watch`: the classes of a live stream, window by window."""

import argparse
import json
import statistics
import sys
import time
from collections import deque
from dataclasses import replace

from mocliplite.cli import _timeline
from mocliplite.cli._shared import add_model, compute

HELP = "classify the windows of a live stream as they come"
EXAMPLE = "example: python -m mocliplite watch rtsp://camera.local/stream --window 2"
USES_MODELS = True

_LATEST = 10000  # windows whose latency the summary tells


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="an address such as rtsp://..., a device such as /dev/video0, or - for stdin")
    _timeline.add_window_arguments(parser, window=2.0)
    add("--json", action="store_true", help="print one JSON object per line")
    add_model(parser)
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="device of the networks (auto)")


def run(given: argparse.Namespace) -> None:
    """Print each window until the stream ends or an interrupt, then a summary."""
    from mocliplite.video.live import check_address

    check_address(given.source)
    from mocliplite.predict.live import LiveWindows
    from mocliplite.predict.recognizer import Recognizer
    from mocliplite.predict.timeline import Cost, classify_windows, segments
    from mocliplite.video.streams import Limits

    recognizer = Recognizer.load(given.model, replace(compute(), device=given.device), given.revision)
    timeline = _timeline.Timeline.of(given, recognizer)
    live = LiveWindows(given.source, timeline.settings, Limits.of(recognizer.compute), _notice)
    cost, latencies, warned = Cost(), deque[float](maxlen=_LATEST), False
    try:
        for window in classify_windows(recognizer, live, timeline.settings, cost, batch=1):
            latencies.append(time.monotonic() - window.arrived)
            if cost.warning and not warned:
                _notice(f"warning: {given.source}: {cost.warning}")
                warned = True
            (segment,) = segments([window], timeline.classes, timeline.threshold)
            if given.json:
                found = _timeline.segment_json(segment)
                line = json.dumps(found | {"latency": round(latencies[-1], 3), "dropped": live.counts.dropped})
            else:
                line = f"{_timeline.line_of(segment)}  ({1000 * latencies[-1]:.0f} ms)"
            print(line, flush=True)
    except KeyboardInterrupt:
        pass
    for reason, count in cost.reasons.items():
        _notice(f"warning: windows that were not classified: {count}: {reason}")
    median, longest = (statistics.median(latencies), max(latencies)) if latencies else (0.0, 0.0)
    _notice(
        f"windows: {cost.windows}, dropped: {live.counts.dropped}, connections: {live.counts.connections}; latency "
        f"from the last frame of a window to its answer: median {1000 * median:.0f} ms, longest {1000 * longest:.0f} ms"
    )


def _notice(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
