"""Extraction from damaged clips: bit flips, noise, cuts and splices of real footage. Nothing may crash or hang.

Prints a table of outcomes; the last line is JSON. Exits with status 1 if a clip raised an exception other than
UserError.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.scenes import SCENES, encode
from mocliplite.errors import Failure, UserError
from mocliplite.motion import extraction
from mocliplite.params import Compute, Motion
from mocliplite.runtime import crash_safe
from mocliplite.runtime.progress import progress
from mocliplite.video import keyframes

SETTINGS = Motion(cell_size=8, accumulate="none", reencode=None, interpolate=False, max_damaged=0.1)
FOOTAGE = Path(__file__).parents[2] / "shared/data"
DAMAGES = ("bits", "noise", "zeros", "cut", "hole", "splice")


def mutated(content: bytes, other: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return a random kind of damage and the damaged content. Most damage spares the head, so that the file opens."""
    damage = DAMAGES[rng.integers(len(DAMAGES))]
    size = len(content)
    start = int(rng.integers(0 if rng.random() < 0.3 else min(4096, size // 2), size))
    length = int(min(size - start, 1 + rng.exponential(size / 50)))
    damaged = bytearray(content)
    if damage == "bits":
        for offset in rng.integers(start, size, 1 + int(rng.exponential(20))):
            damaged[offset] ^= 1 << int(rng.integers(8))
    elif damage == "noise":
        damaged[start : start + length] = rng.bytes(length)
    elif damage == "zeros":
        damaged[start : start + length] = bytes(length)
    elif damage == "cut":
        del damaged[start:]
    elif damage == "hole":
        del damaged[start : start + length]
    else:
        damaged[start:] = other[min(start, len(other) - 1) :]
    return damage, bytes(damaged)


def read(path: str) -> str:
    """Return the outcome of extracting a clip: a field, the class of an error sentence, or an unexpected exception."""
    try:
        keyframes.read_keyframes(path, 1, "middle")
    except UserError:
        pass
    except Exception as error:  # noqa: BLE001  (unexpected exceptions are what the benchmark counts)
        return f"keyframes: {type(error).__name__}: {error}"
    try:
        field = extraction.motion_field(path, SETTINGS)
    except UserError as error:
        return _class_of(str(error), path)
    except Exception as error:  # noqa: BLE001
        return f"motion: {type(error).__name__}: {error}"
    return "a field of all frames" if field.damaged == 0 else "a field, damaged frames counted"


def _class_of(sentence: str, path: str) -> str:
    for phrase in (
        "is damaged",
        "cannot be decoded",
        "no frame that can be decoded",
        "no video stream",
        "changes its size",
    ):
        if sentence.startswith(path) and phrase in sentence:
            return f"refused: {phrase}"
    other = (
        "in a codec that this build of FFmpeg cannot",
        "vectors to frames",
        "exports no motion",
        "only I-frames",
        "one frame",
    )
    return next((f"refused: {phrase}" for phrase in other if phrase in sentence), f"odd sentence: {sentence}")


def outcomes(files: list[Path], count: int, seed: int, compute: Compute) -> Iterator[tuple[str, str]]:
    """Yield (kind of damage, outcome) of each damaged clip, in order."""
    read_safely = crash_safe.crash_safe(read, compute)
    contents = [file.read_bytes() for file in files]

    def read_mutated(number: int) -> tuple[str, str]:
        rng = np.random.default_rng([seed, number])
        first, second = rng.integers(len(files), size=2)
        damage, content = mutated(contents[first], contents[second], rng)
        path = Path(folder, f"{number}{files[first].suffix}")
        path.write_bytes(content)
        outcome = read_safely(str(path))
        path.unlink()
        return damage, f"failure: {outcome.reason.partition(' ')[2]}" if isinstance(outcome, Failure) else outcome

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(compute.workers) as pool:
        yield from pool.map(read_mutated, range(count))


def table(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of outcomes by kind of damage, the most frequent outcome first."""
    counts = Counter(pairs)
    lines = [f"{'outcome':60}" + "".join(f"{damage:>8}" for damage in DAMAGES)]
    for outcome, _ in Counter(outcome for _, outcome in counts.elements()).most_common():
        lines.append(f"{outcome[:60]:60}" + "".join(f"{counts[damage, outcome]:8}" for damage in DAMAGES))
    return "\n".join(lines)


def is_answer(outcome: str) -> bool:
    """Whether an outcome is a field, an error sentence, or a failure that does not stop the run."""
    return outcome.startswith(("a field", "refused: ", "failure: "))


def rendered(folder: str | Path) -> list[Path]:
    """Write small clips of both codecs, for machines without real footage; return their paths."""
    pictures = SCENES["rotation"]().pictures
    kinds = [("mpeg4", 0, "avi"), ("mpeg4", 2, "avi"), ("libx264", 2, "mp4"), ("libx264", 0, "mkv")]
    return [Path(encode(Path(folder, f"{c}{b}.{end}"), pictures, c, 12, b)) for c, b, end in kinds]


def main() -> None:
    """Damage clips, extract them, count the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000, help="number of damaged clips (2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help=f"folder of clips ({FOOTAGE})")
    given = parser.parse_args()
    compute = Compute(workers=given.workers, threads=1, device="cpu", engine="processes", time_limit=30)
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(path for path in given.footage.rglob("*") if path.suffix in (".avi", ".mp4")) or rendered(folder)
        found = []
        with progress("fuzz", given.clips, "clip") as bar:
            for outcome in outcomes(files, given.clips, given.seed, compute):
                found.append(outcome)
                bar.update()
    print(table(found))
    wrong = [outcome for _, outcome in found if not is_answer(outcome)]
    print(json.dumps({"clips": len(found), "of_files": len(files), "without_an_answer": len(wrong)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
