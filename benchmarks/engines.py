"""What an engine costs per shard: `processes` against Dask, and Dask with workers that wait instead of computing.

python -m benchmarks.engines [--workers 1 4 16 64] [--seconds 0.5] [--processes] prints, for each number of workers, the
rate of calls that take so many seconds, relative to workers / seconds, the processor time of scheduler and driver per
call, and the memory of both. The workers are threads of one process, or with --processes a process each, as in a real
cluster: 64 of them take 8 GB of memory. Requires distributed and psutil, and nothing that stages need.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from mocliplite import params
from mocliplite.runtime import dask_engine, engines

CALLS = 20  # per worker
SPEC_BYTES = 50_000  # of a shard of 256 clips

THREADS = """
import asyncio, sys
from distributed import Worker
async def work():
    workers = [await Worker(scheduler_file=sys.argv[1], nthreads=1) for _ in range(int(sys.argv[2]))]
    for worker in workers:
        worker.nanny = "none"  # which the engine demands of real workers
    await asyncio.gather(*(worker.finished() for worker in workers))
asyncio.run(work())
"""


def wait(spec: tuple[float, bytes]) -> Iterator[int]:
    """Wait instead of computing a shard."""
    time.sleep(spec[0])
    yield os.getpid()


def per_call(engine: str, calls: int = 200) -> dict[str, float]:
    """Return the milliseconds of an empty call of an engine with two local workers, without their start."""
    compute = replace(params.DEFAULT_COMPUTE, workers=2, engine=engine)
    begin = None
    for _ in engines.map_specs(wait, [(0.0, bytes(SPEC_BYTES))] * calls, compute):
        begin = begin or time.perf_counter()
    return {"ms": round((time.perf_counter() - begin) / (calls - 1) * 1000, 2)}


def processor_seconds(process: psutil.Process) -> float:
    """Return the user and system time of a process."""
    times = process.cpu_times()
    return times.user + times.system


def start_workers(file: Path, workers: int, processes: bool) -> list[str]:
    """Return the command that starts workers of the scheduler of this file."""
    if processes:
        options = ["--no-dashboard", "--nthreads", "1", "--nworkers", str(workers)]
        return [sys.executable, "-m", "dask", "worker", "--scheduler-file", str(file), *options]
    return [sys.executable, "-c", THREADS, str(file), str(workers)]


def waiting(workers: int, seconds: float, processes: bool, folder: Path) -> dict[str, float]:
    """Run CALLS calls per worker on a scheduler of its own; return rate, processor time and memory."""
    file = folder / f"{workers}.json"
    start = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    os.environ["MOCLIPLITE_RUN"] = "benchmark"
    with (folder / "log").open("ab") as log:
        outputs = {"stdout": log, "stderr": log, "start_new_session": True}
        scheduler = subprocess.Popen([*start, "--scheduler-file", str(file)], **outputs)
        host = subprocess.Popen(start_workers(file, workers, processes), **outputs)
    try:
        while not file.is_file():
            time.sleep(0.1)
        with dask_engine.Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(workers, timeout=300)
            specs = [(seconds, bytes(SPEC_BYTES))] * CALLS * workers
            both = psutil.Process(scheduler.pid), psutil.Process()
            before, begin = [processor_seconds(process) for process in both], time.perf_counter()
            for _ in dask_engine._Calls(client, wait, specs, time_limit=300).finished():
                pass
            took = time.perf_counter() - begin
            used = [processor_seconds(process) - earlier for process, earlier in zip(both, before, strict=True)]
            memory = [process.memory_info().rss >> 20 for process in both]
    finally:
        for process in (host, scheduler):
            os.killpg(process.pid, signal.SIGKILL)  # with the processes of the workers
            process.wait()
    return {
        "rate": round(len(specs) / took, 1),
        "of_ideal": round(len(specs) / took * seconds / workers, 3),
        "scheduler_ms": round(used[0] / len(specs) * 1000, 2),
        "driver_ms": round(used[1] / len(specs) * 1000, 2),
        "scheduler_mib": memory[0],
        "driver_mib": memory[1],
    }


def main() -> None:
    """Parse the arguments and print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=0.5, help="that a call takes (0.5)")
    parser.add_argument("--processes", action="store_true", help="each worker is a process of its own")
    given = parser.parse_args()
    results: dict[str, object] = {}
    for engine in ("processes", "dask"):
        results[engine] = per_call(engine)
        print(engine, results[engine], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for workers in given.workers:
            results[str(workers)] = waiting(workers, given.seconds, given.processes, Path(folder))
            print(workers, results[str(workers)], flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
