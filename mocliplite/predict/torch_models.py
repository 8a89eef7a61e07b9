"""The networks of a recogniser, run by torch."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from mocliplite import params
from mocliplite.encoders.checkpoints import locate_same
from mocliplite.encoders.embedding import embed_images
from mocliplite.encoders.loading import Encoder, load_encoder
from mocliplite.files import read_json
from mocliplite.motion_net import networks
from mocliplite.motion_net.embedding import embed_motion
from mocliplite.predict.models import CLIP_FILE, Models, Networks, other_version
from mocliplite.runtime.device import device
from mocliplite.runtime.gpu_memory import full_memory_means, in_batches


def load_networks(folder: Path, models: Models, settings: params.MotionNet, compute: params.Compute) -> Networks:
    """Load the motion network, and the encoder of its features: folder/clip if it exists.

    Raises UserError where the encoder is missing or another one, or the motion network is from another version of the
    code.
    """
    keyframes = models.head_config["features"]["keyframes"]
    model, revision, pickled = _clip_of(folder)
    checkpoint = locate_same(keyframes, model, revision, folder / "clip", pickled)
    encoder = load_encoder(checkpoint, compute, keyframes.get("dtype", "float32"))
    with full_memory_means("choose models of smaller networks"):
        net = load_motion(folder, models).to(device(compute, "--device"))
    return networks_of(encoder, keyframes["batch"], net, settings)


def load_motion(folder: Path, models: Models) -> networks.Network:
    """Return the motion network. Raises UserError if it is from a version of the code with other networks."""
    try:
        return networks.load_network(models.motion, models.motion_config)
    except (KeyError, TypeError, RuntimeError):  # other settings or other layers
        raise other_version(folder / "motion") from None


def networks_of(encoder: Encoder, batch: int, net: networks.Network, settings: params.MotionNet) -> Networks:
    """Return the networks of a recogniser. batch: images per forward pass, as encoder.batch."""
    where = next(net.parameters()).device

    def images(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return embed_images(encoder, pictures, batch)

    def image(picture: np.ndarray) -> np.ndarray:
        return next(embed_images(encoder, [picture], 1))

    def motion(fields: np.ndarray, view: str) -> tuple[np.ndarray, np.ndarray]:
        def forward(start: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
            return embed_motion(net, torch.from_numpy(fields[start : start + size]).to(where), settings, view)

        parts = in_batches(forward, len(fields), len(fields), "clips")
        embedding, logits = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
        return embedding, logits

    return Networks(images, motion, image)


def _clip_of(folder: Path) -> tuple[str, str | None, bool]:
    """Return hub id or folder, revision, and whether pickled weights are allowed, of the encoder.

    They are from an exported folder, which allows nothing, or else from the settings.
    """
    if (folder / CLIP_FILE).is_file():
        recorded = read_json(folder / CLIP_FILE)
        if not {"model", "revision"} <= recorded.keys():
            raise other_version(folder)
        return recorded["model"], recorded["revision"], False
    if (folder / "clip").is_dir():
        return str(folder / "clip"), None, False
    settings = params.load().encoder
    return settings.model, settings.revision, settings.pickled_weights
