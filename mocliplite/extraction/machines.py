"""On which kinds of machines a store was computed: recorded next to it, in no file that DVC hashes.

`features/.machines/motion-<digest>.json` describes one kind of machine that computed something of `features/motion`.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mocliplite import SAME_CODE, __version__, files

# Packages whose versions decide values or bytes.
_PACKAGES = ("av", "deflate", "h5py", "numpy", "pillow", "safetensors", "scipy", "torch", "transformers")


@cache
def record(store: Path, device: str = "cpu") -> None:
    """Record that a process of this kind of machine computes clips of a store on this device. Done once per process."""
    text = json.dumps(_describe(device), indent=2, sort_keys=True) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = _folder(store) / f"{store.name}-{digest}.json"
    if not path.is_file():
        files.write_text(path, text)


def forget(store: Path) -> None:
    """Remove the records of a store that is computed anew."""
    for path in _records(store):
        path.unlink(missing_ok=True)


def differences(store: str | Path) -> list[str]:
    """Return what can change values and differs between the machines that computed a store: `torch: 2.12, 2.13`."""
    found = [files.read_json(path) for path in _records(Path(store))]
    names = sorted({name for machine in found for name in machine} - {"processor"})
    values = {name: sorted({str(machine.get(name)) for machine in found}) for name in names}
    return [f"{name}: {', '.join(different)}" for name, different in values.items() if len(different) > 1]


def print_differences(store: str | Path) -> None:
    """Print a note if machines that differ computed a store."""
    if found := differences(store):
        print(f"note: {store} was computed on machines that differ in {'; '.join(found)}.", file=sys.stderr)
        print("Values may differ in the last bits: docs/scale.md, Machines that differ.", file=sys.stderr)


def _describe(device: str) -> dict[str, str]:
    processor, flags = _processor()
    settings = {name: os.environ.get(name, "not set") for name in SAME_CODE}
    return {
        "avx2": "yes" if "avx2" in flags else "no",
        "device": device if device == "cpu" else _gpu(device),
        "mocliplite": __version__,
        "processor": processor,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        **settings,
    }


def _processor() -> tuple[str, set[str]]:
    """Return the name of the processor and its instruction sets, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return values.get("model name", platform.processor()), set(values.get("flags", "").split())


def _gpu(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _folder(store: Path) -> Path:
    return store.parent / ".machines"


def _records(store: Path) -> Iterator[Path]:
    # The name of another store may begin with that of this one.
    return _folder(store).glob(f"{store.name}-{'[0-9a-f]' * 8}.json")
