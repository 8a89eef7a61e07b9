"""What the server counts, in the text format of Prometheus."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from mocliplite.serving.batches import Batches

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds, of the histogram


@dataclass
class Metrics:
    """Counts of the requests to /predict since the server started."""

    statuses: Counter[int] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)  # by index in BOUNDS, its length for longer ones
    seconds: float = 0.0
    clips: Counter[str] = field(default_factory=lambda: Counter(classified=0, failed=0))

    def count(self, status: int, seconds: float) -> None:
        """Add a request that was answered."""
        self.statuses[status] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def text(self, batches: Batches) -> str:
        """Return all metrics."""
        lines = [
            *_head("requests_total", "counter", "Requests to /predict by status."),
            *(
                f'mocliplite_requests_total{{status="{status}"}} {self.statuses[status]}'
                for status in sorted(self.statuses)
            ),
            *_head("request_seconds", "histogram", "Time from the head of a request to its answer."),
            *self._histogram(),
            *_head("clips_total", "counter", "Clips that were classified, and that could not be used."),
            *(f'mocliplite_clips_total{{result="{result}"}} {count}' for result, count in self.clips.items()),
            *_head("batches_total", "counter", "Batches of clips that the recogniser got."),
            f"mocliplite_batches_total {batches.batches}",
            *_head("queue", "gauge", "Requests that are uploading, waiting or in a batch."),
            f"mocliplite_queue {batches.requests}",
            *_head("queue_limit", "gauge", "Number of them from which on requests are refused."),
            f"mocliplite_queue_limit {batches.limit}",
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name, total, lines = "mocliplite_request_seconds", 0, []
        for index, bound in enumerate((*BOUNDS, "+Inf")):
            total += self.buckets[index]
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self.seconds:.6f}", f"{name}_count {total}"]


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP mocliplite_{name} {text}", f"# TYPE mocliplite_{name} {kind}"]
