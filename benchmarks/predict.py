"""Prediction of many clips with bad files among them, and the time until the first answer of a fresh process.

python -m benchmarks.predict [--model models] [--clips FOLDER] [--bad 100] runs `python -m mocliplite predict` on one
clip, five times, and on all clips of the folder with that many bad files of ten kinds among them; then answers the
clips three times in its own process, the models loaded. Prints start-up, clips a second, the share of CLIP in the time
of all phases, and counts; ends with status 1 where a clip was not answered or a bad file was not refused with a line of
its own. The last line is JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import bad_files
from mocliplite.data.clips import ENDINGS
from mocliplite.predict.recognizer import Prediction, Recognizer

FOOTAGE = Path(__file__).parents[2] / "shared/data/ut_interaction"


def predict(paths: list[str], model: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """A fresh process that predicts the clips, and its seconds."""
    command = [sys.executable, "-m", "mocliplite", "predict", "-", "--json", "--model", model]
    start = time.perf_counter()
    done = subprocess.run(command, input="\n".join(paths), capture_output=True, text=True, check=False)
    return done, time.perf_counter() - start


def main() -> None:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models")
    parser.add_argument("--clips", type=Path, default=FOOTAGE)
    parser.add_argument("--bad", type=int, default=100)
    given = parser.parse_args()
    good = sorted(str(path) for path in given.clips.rglob("*") if path.suffix.lower() in ENDINGS)
    first = statistics.median(predict(good[:1], given.model)[1] for _ in range(5))
    with tempfile.TemporaryDirectory() as folder:
        bad = [str(path) for path in bad_files.write(Path(folder), given.bad // len(bad_files.KINDS), Path(good[0]))]
        paths = [
            path for row in range(max(len(good), len(bad))) for path in (*bad[row : row + 1], *good[row : row + 1])
        ]
        done, _ = predict(paths, given.model)
    told, (*lines, _) = json.loads(done.stdout), done.stderr.splitlines()
    refused = [line for line, path in zip(lines, bad, strict=False) if line.startswith(f"error: {path}")]
    recognizer = Recognizer.load(given.model)
    recognizer(good[0])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        answers = list(recognizer.predict(good))
        seconds.append(time.perf_counter() - start)
    spent = [answer.milliseconds for answer in answers if isinstance(answer, Prediction)]
    phases = {name: statistics.mean(one[name] for one in spent) for name in spent[0]}
    report = {
        "first_answer_s": round(first, 2),
        "clips_per_second": round(len(good) / statistics.median(seconds), 1),
        "share_of_clip": round(phases["CLIP"] / sum(phases.values()), 3),
        "answered": len(told),
        "of": len(good),
        "refused": len(refused),
        "of_bad": len(bad),
        "status": done.returncode,
    }
    print("milliseconds a clip:", ", ".join(f"{name} {mean:.1f}" for name, mean in phases.items()))
    print(json.dumps(report))
    if [answer["clip"] for answer in told] != good or len(lines) != len(refused) or len(refused) != len(bad):
        sys.exit("a clip was not answered, or a bad file not refused with one line of its own")


if __name__ == "__main__":
    main()
