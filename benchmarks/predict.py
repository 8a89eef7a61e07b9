"""Speed of prediction, and its behaviour with bad files among the clips.

python -m benchmarks.predict [--model models] [--clips FOLDER] [--bad 100] runs `python -m mocliplite predict` on one
clip, five times, and on all clips of the folder with bad files of ten kinds among them. Then it predicts the clips
three times in its own process with the models loaded. Prints the time to the first prediction of a new process, clips
per second, the share of the encoder in the time of all phases, and counts; exits with status 1 if a clip has no
prediction or a bad file has no error line of its own. The last line is JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz import bad_files
from mocliplite.data.names import ENDINGS
from mocliplite.predict.recognizer import Prediction, Recognizer

FOOTAGE = Path(__file__).parents[2] / "shared/data/ut_interaction"


def predict(paths: list[str], model: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Predict the clips in a new process; return the finished process and its seconds."""
    command = [sys.executable, "-m", "mocliplite", "predict", "-", "--json", "--model", model]
    start = time.perf_counter()
    done = subprocess.run(command, input="\n".join(paths), capture_output=True, text=True, check=False)
    return done, time.perf_counter() - start


def main() -> None:
    """Measure, and check that every clip has a prediction and every bad file an error."""
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
    predictions, (*lines, _) = json.loads(done.stdout), done.stderr.splitlines()
    refused = [line for line, path in zip(lines, bad, strict=False) if line.startswith(f"error: {path}")]
    recognizer = Recognizer.load(given.model)
    recognizer(good[0])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        results = list(recognizer.predict(good))
        seconds.append(time.perf_counter() - start)
    milliseconds = [result.milliseconds for result in results if isinstance(result, Prediction)]
    phases = {name: statistics.mean(clip[name] for clip in milliseconds) for name in milliseconds[0]}
    report = {
        "first_answer_s": round(first, 2),
        "clips_per_second": round(len(good) / statistics.median(seconds), 1),
        "share_of_encoder": round(phases["encoder"] / sum(phases.values()), 3),
        "answered": len(predictions),
        "of": len(good),
        "refused": len(refused),
        "of_bad": len(bad),
        "status": done.returncode,
    }
    print("milliseconds per clip:", ", ".join(f"{name} {mean:.1f}" for name, mean in phases.items()))
    print(json.dumps(report))
    if (
        [prediction["clip"] for prediction in predictions] != good
        or len(lines) != len(refused)
        or len(refused) != len(bad)
    ):
        sys.exit("a clip has no prediction, or a bad file has no error line of its own")


if __name__ == "__main__":
    main()
