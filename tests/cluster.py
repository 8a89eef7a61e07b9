"""A Dask scheduler and workers on this machine, each in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from builders import CHECKOUT

import mocliplite


class Cluster:
    """The processes, which end with the context. They know nothing of the settings of this process."""

    def __init__(self, folder, workers, *options):
        self.file, self.processes = Path(folder, "scheduler.json"), []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.workers = [self._start("worker", "--nthreads", "1", *options) for _ in range(workers)]

    def _start(self, what, *options):
        ours = (*mocliplite.SAME_CODE, "OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG")
        environment = {key: value for key, value in os.environ.items() if key not in ours}
        environment["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])
        command = [sys.executable, "-m", "dask", what, "--no-dashboard", "--scheduler-file", str(self.file), *options]
        with self.file.with_name("cluster.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        while what == "scheduler" and not self.file.is_file():
            assert process.poll() is None
            time.sleep(0.05)
        return process

    def kill_workers(self):
        """Kill the process of every worker. Its nanny starts another one."""
        for nanny in self.workers:
            for worker in psutil.Process(nanny.pid).children():
                if "spawn_main" in " ".join(worker.cmdline()):
                    worker.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
