"""What `predict` prints of each clip, and the end of its run."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mocliplite.cli import _summary, _timeline
from mocliplite.cli._results_file import CLIPS, ResultsFile, path_cell
from mocliplite.cli._shared import refuse_failed
from mocliplite.csv_files import text_cell
from mocliplite.errors import UserError
from mocliplite.params import CLASS_SEPARATOR
from mocliplite.predict.json_row import json_row

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Prediction
    from mocliplite.predict.timeline import Cost, Segment


class Report:
    """Prints predictions or segments as text, as JSON at the end, or writes them to files and prints a summary."""

    def __init__(
        self, given: argparse.Namespace, results: ResultsFile, total: int, left: int, empty: Mapping[str, UserError]
    ) -> None:
        """total: number of clips, of which `left` are not in the files yet; empty: errors of folders without clips."""
        self._results, self._total, self._left, self._empty = results, total, left, empty
        self._ended = self._failed = 0  # clips
        self._warned = False
        self._top, self._json, self._windows = given.top, given.json, bool(given.window)
        self._files = bool(given.csv or given.parquet)
        self._text = not (self._json or self._files)
        self._objects: list[dict[str, Any]] = []
        # Text itself shows the progress. A program that reads stderr gets errors only.
        from mocliplite.runtime.progress import progress

        shows = not self._text and sys.stderr.isatty()
        self._bar = progress("predict", left, "clip") if shows else None
        if left < total:
            print(f"clips that are in {given.csv} already: {total - left} of {total}", file=sys.stderr)

    def clip(self, path: str, prediction: "Prediction | UserError", classes: Sequence[str]) -> None:
        """Add the prediction of a clip, or why there is none."""
        if isinstance(prediction, UserError):
            self.fail(path, prediction)
            return
        self._warn_once(path, prediction.warning)
        row = json_row(prediction, self._top)
        self._objects += [row] if self._json else []
        self._print("\n".join(_lines(row)))
        if self._files:
            probability = dict(prediction.classes)
            found, best = dict(prediction.found(1)), prediction.classes[0][1]
            label = text_cell(CLASS_SEPARATOR.join(name for name in classes if name in found))
            wide = [f"{probability[name]:.6f}" for name in classes] if len(self._results.header) > len(CLIPS) else []
            self._results.add([(path_cell(path), label, f"{best:.4f}", "", self._results.model, *wide)])
        self._update()

    def begin(self, path: str) -> None:
        """Begin with a long video."""
        self._print(path)

    def segment(self, segment: "Segment") -> None:
        """Add a segment of the video."""
        self._print(_timeline.line_of(segment))

    def end(self, path: str, segments: "Sequence[Segment]", cost: "Cost") -> None:
        """End a long video with these segments."""
        self._print(_timeline.cost_line(cost))
        self._warn_once(path, cost.warning)
        for reason, count in cost.reasons.items():
            self._warn(f"warning: windows that were not classified: {count} of {cost.windows}: {reason}")
        self._objects += [_timeline.json_of(path, segments, cost)] if self._json else []
        if self._files:
            self._results.add(_timeline.rows_of(path, segments, self._results.model))
        self._update()

    def fail(self, path: str, error: UserError) -> None:
        """Add a clip that cannot be used."""
        error = self._empty.get(path, error)
        self._failed += 1
        self._warn(f"error: {error}")
        if self._files:
            cells = {"clip": path_cell(path), "error": text_cell(str(error)), "model": self._results.model}
            self._results.add([[cells.get(name, "") for name in self._results.header]])
        self._update()

    def close(self) -> None:
        """Print the JSON or the summary. Raises UserError if a clip failed, or has no result."""
        if self._bar is not None:
            self._bar.close()
        self._results.close()
        if self._json:
            print(json_text(self._objects))
        elif self._files:
            what = "segments" if self._windows else "classified"
            print("\n".join(_summary.summary(self._results.rows, self._results.header, what)))
        if self._ended != self._left:
            raise UserError(f"only {self._ended} of {self._left} clips have a result; run again.")
        if self._total > 1:
            self._print(f"{self._total} clips = {self._ended - self._failed} classified + {self._failed} failed")
        refuse_failed(self._failed, self._total)

    def _print(self, text: str) -> None:
        if self._text:
            print(text, flush=True)

    def _warn_once(self, path: str, warning: str | None) -> None:
        """Print the warning about the first clip that has one: with the same models, others will have it, too."""
        if warning and not self._warned:
            self._warn(f"warning: {path}: {warning}")
            self._warned = True

    def _warn(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(text, file=sys.stderr, flush=True)

    def _update(self) -> None:
        self._ended += 1
        if self._bar is not None:
            self._bar.update()


def json_text(rows: list[dict[str, Any]]) -> str:
    """Return the predictions as JSON, with escape sequences if the terminal or a file name is not Unicode text."""
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(rows, indent=2)
    return text


def _lines(row: dict[str, Any]) -> list[str]:
    shares = ", ".join(f"{stream} {share:+.2f}" for stream, share in row["shares"].items())
    times = ", ".join(f"{phase} {value:.1f}" for phase, value in row["milliseconds"].items())
    classes = [f"  {item['probability']:6.1%}  {item['class']}" for item in row["classes"]]
    first, *rest = classes or [f"  no class has a probability of {row['threshold']:.0%} or more"]
    return [row["clip"], f"{first}  ({shares})" if shares else first, *rest, f"  ms: {times}"]
