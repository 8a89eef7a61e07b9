"""Action recognition from the motion vectors of a video codec and one keyframe embedded by a frozen CLIP."""

import os
from pathlib import Path

__version__ = "0.1.0"

# Must be set before torch is imported. By default, waiting OpenMP threads spin; where another process uses the same
# core, a training step was measured to be 5 to 8 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Without this setting cuBLAS does not fix the order of its sums, and two runs on a GPU differ.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# Numerical libraries choose their code by the processor, and other code sums in another order: training amplifies that
# to another model. With these settings every x86-64 processor with AVX2 runs the same code (docs/reproducibility.md).
# MKL's fast code differs between makers of processors; MKL_CBWR=AUTO in the environment takes it back.
SAME_CODE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",  # LAPACK's sums depend on it, and the default is the number of cores
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def _has_avx2() -> bool:
    """Return whether this is Linux on a processor with AVX2; elsewhere the settings do not apply."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and " avx2 " in cpuinfo.read_text(encoding="utf-8", errors="replace")


if _has_avx2():
    for _name, _value in SAME_CODE.items():
        os.environ.setdefault(_name, _value)
