"""The networks of a recogniser as ONNX graphs, run by onnxruntime.

Neither torch nor transformers is imported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite import checkpoint, packages, params
from mocliplite.encoders.preprocessing import checked, pixels
from mocliplite.errors import UserError
from mocliplite.files import read_bytes, read_json
from mocliplite.motion_net.sampling import mirrored
from mocliplite.predict.models import ONNX, Models, Networks, other_version

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

IMAGE, MOTION, HEADS, CONFIG = "image.onnx", "motion.onnx", "heads.onnx", "config.json"
# Weights in another file have its name under the key "location". In protobuf a text has its length in front, here 8,
# which can be written with more bytes than one.
_OTHER_FILE = re.compile(rb"(?:\x08|\x88\x80*\x00)location")


def load_networks(folder: Path, models: Models, compute: params.Compute) -> Networks:
    """Load the graphs of the image encoder and of the motion network. They are run on the CPU.

    Raises UserError where onnxruntime is not installed, a graph is missing or damaged, the graphs are of other models,
    or compute.device is cuda.
    """
    if compute.device == "cuda":
        raise UserError(f"{folder} has ONNX graphs, which are run on the CPU; leave out --device.")
    graphs = folder / ONNX
    config = read_json(graphs / CONFIG)
    if not {"encoder", "motion", "preprocessing"} <= config.keys():
        raise other_version(graphs)
    keyframes = models.head_config["features"]["keyframes"]
    checkpoint.check_source(graphs, folder / "head", config["encoder"], keyframes["weights"])
    checkpoint.check_source(graphs, folder / "motion", config["motion"], checkpoint.digest(folder / "motion"))
    return networks_of(graphs, config, compute)


def networks_of(graphs: Path, config: Mapping[str, Any], compute: params.Compute) -> Networks:
    """Return the networks whose graphs are in a folder. config: the content of config.json."""
    image, net = (_session(graphs / name, compute) for name in (IMAGE, MOTION))
    settings = checked(config["preprocessing"])

    # One image and one clip at a time: the last bits of a result may depend on the size of the batch.
    def embed_images(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        yield from map(embed_one, images)

    def embed_one(one: np.ndarray) -> np.ndarray:
        row: np.ndarray = _run(image, pixels(one, settings)[None])[0][0]
        return row

    def embed_motion(fields: np.ndarray, view: str) -> tuple[np.ndarray, np.ndarray]:
        inputs = (mirrored(fields) if view == "flip" else fields).astype(np.float32)
        rows = [_run(net, inputs[row : row + 1]) for row in range(len(inputs))]
        return np.concatenate([embedding for embedding, _ in rows]), np.concatenate([logits for _, logits in rows])

    return Networks(embed_images, embed_motion, embed_one)


def _session(path: Path, compute: params.Compute) -> "InferenceSession":
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise packages.not_installed(str(error.name), str(path)) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = compute.threads
    # By default, waiting threads use their cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    content = read_bytes(path)
    # onnxruntime looks for such a file in the current folder if it gets bytes. No option of version 1.20 forbids it.
    if b"location" in content and _OTHER_FILE.search(content):  # the first alone takes a tenth of the time
        raise UserError(f"{path} has weights in another file, which is not read; export the models again.")
    try:
        # Not by its path: the graph could then be replaced after this check.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _errors() as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be loaded ({reason}); export the models again.") from None


def _run(session: "InferenceSession", values: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of a graph with one input."""
    (one,) = session.get_inputs()
    try:
        outputs: list[np.ndarray] = session.run(None, {one.name: values})
    except _errors() as error:
        raise RuntimeError(" ".join(str(error).split())[:200]) from None
    return outputs


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a graph. Its own exceptions have no class in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    own = (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented, errors.Fail)
    # A name that is not UTF-8, or a size that is no size, is an error of Python.
    return (*own, errors.RuntimeException, OSError, UnicodeDecodeError, RuntimeError, TypeError, ValueError)
