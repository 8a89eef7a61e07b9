"""The networks of a recogniser written as ONNX graphs, each with one named input and any number of rows."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mocliplite import checkpoint, packages, params
from mocliplite.encoders import preprocessing
from mocliplite.encoders.linear import use_torch
from mocliplite.encoders.loading import Encoder, image_features, load_encoder
from mocliplite.errors import UserError
from mocliplite.files import atomic_write, write_json
from mocliplite.motion_net import augmentation
from mocliplite.motion_net.networks import Network
from mocliplite.motion_net.settings import settings_from_config
from mocliplite.predict.models import Models
from mocliplite.predict.onnx_heads import AnswerGraph
from mocliplite.predict.onnx_int8 import quantise, validation_figures
from mocliplite.predict.onnx_models import CONFIG, HEADS, IMAGE, MOTION, networks_of
from mocliplite.predict.torch_models import load_motion

_COMPUTE = replace(params.DEFAULT_COMPUTE, device="cpu")
_MOST_WEIGHTS = 1536 << 20  # bytes, above which torch writes them to a second file


class ImageGraph(nn.Module):
    """The image tower of an encoder: pixels float32 [N, 3, height, width] to embeddings float32 [N, D]."""

    def __init__(self, model: nn.Module, family: str) -> None:
        super().__init__()
        self.model, self.family = model, family

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the embeddings, not of unit length."""
        features: Tensor = image_features(self.model, self.family, {"pixel_values": pixels})
        return features


class MotionGraph(nn.Module):
    """The motion network in the plain view: fields float32 [N, T, 3, rows, cols] to embedding and logits."""

    def __init__(self, net: Network, settings: params.MotionNet) -> None:
        super().__init__()
        self.net, self.settings = net, settings

    def forward(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings float32 [N, D] and class logits float32 [N, C]."""
        # One pass, so that the graph has one copy of the network.
        inputs = list(augmentation.view_inputs(fields, self.settings))
        embedding = self.net.embed(torch.cat(inputs)).unflatten(0, (len(inputs), -1)).mean(dim=0)
        return embedding, self.net.classify(embedding)


def write_graphs(out: Path, models: Models, folder: Path, clip: Path, int8: bool = False) -> dict[str, Any]:
    """Write the graphs of the image tower, the motion network and the heads, and config.json, to a new folder.

    Returns the content of config.json.

    models: those in `folder`; clip: the encoder's checkpoint; int8: the image tower is in int8, and config.json has the
    figures of validation clips without and with it. Equal models give equal bytes with the same versions of
    torch and onnxscript. Raises UserError where these are not installed, for arithmetic in bfloat16, and for an encoder
    with another preprocessing than resize, crop and normalise.
    """
    features = models.head_config["features"]
    settings = settings_from_config(models.motion_config)
    for key, dtype in (
        ("encoder.dtype", features["keyframes"].get("dtype")),
        ("motion_net.precision", settings.precision),
    ):
        if dtype == "bfloat16":
            raise UserError(f"{key} is bfloat16, but ONNX graphs compute in float32; export without --format onnx.")
    encoder = load_encoder(clip, _COMPUTE)
    read = preprocessing.settings_of(clip, encoder)
    _write_image(out / IMAGE, clip, encoder, read)
    net, fields = load_motion(folder, models), torch.zeros(2, settings.frames, 3, settings.rows, settings.cols)
    _write(out / MOTION, MotionGraph(net, settings), {"fields": fields}, ["motion_embedding", "motion_logits"])
    answer = AnswerGraph(models.head, models.probes, models.head_config["calibration"])
    _write(out / HEADS, answer, _features(models), ["probabilities"])
    config = {
        "encoder": features["keyframes"]["weights"],
        "motion": checkpoint.digest(folder / "motion"),
        "preprocessing": read,
    }
    if int8:
        quantise(out / IMAGE)
        config["int8"] = validation_figures(networks_of(out, config, _COMPUTE), models)
    write_json(out / CONFIG, config)
    return config


def _write_image(path: Path, clip: Path, encoder: Encoder, read: Mapping[str, Any]) -> None:
    use_torch(encoder.model)
    width, height = preprocessing.input_size(read)
    graph = ImageGraph(encoder.model, encoder.family)
    try:
        _write(path, graph, {"pixels": torch.zeros(2, 3, height, width)}, ["image_embedding"])
    except torch.onnx.OnnxExporterError:
        raise UserError(
            f"{clip} is of the family {encoder.family!r}, which torch cannot write as an ONNX graph; "
            "export it without --format onnx."
        ) from None


def _features(models: Models) -> dict[str, Tensor]:
    """Return features of two clips as the heads get them."""
    return {name: torch.zeros(2, *shape) for name, shape in models.feature_shapes().items()}


def _write(path: Path, graph: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> None:
    # It warns of packages that are not needed, and of its own deprecated calls.
    for name in ("torch.onnx", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            program: Any = torch.onnx.export(
                graph.eval(),
                kwargs=inputs,
                dynamo=True,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes={name: {0: torch.export.Dim("rows")} for name in inputs},
                external_data=False,
                verbose=False,
            )
    except ImportError as error:
        raise _not_imported(error) from None
    # Where it cannot follow the code, the exporter fixes the number of rows without a word.
    if any(isinstance(value.shape[0], int) for value in program.model.graph.inputs):
        raise torch.onnx.OnnxExporterError(f"{path.name} would have a fixed number of rows")
    # What remains are names of files and lines of code on this machine.
    for node in [*program.model.graph, *program.model.graph.all_nodes()]:
        node.metadata_props.clear()
        node.doc_string = None
    program.model.metadata_props.clear()
    if sum(value.const_value.nbytes for value in program.model.graph.initializers.values()) > _MOST_WEIGHTS:
        raise UserError(f"{path.name} would have more than 1.5 GiB of weights; export without --format onnx.")
    with atomic_write(path) as partial:
        program.save(partial)


def _not_imported(error: ImportError) -> UserError:
    """Return the error where onnxscript, which torch uses, cannot be imported."""
    if error.name in ("onnx", "onnxscript"):
        return packages.not_installed(error.name, "--format onnx")
    return UserError(
        f"--format onnx needs another version of onnxscript ({error}); run `pip install --upgrade onnxscript`."
    )
