"""Recognise own clips with the trained models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mocliplite import checkpoint, clip, fields, fit, head, keyframes, motion, nets, params
from mocliplite.device import device
from mocliplite.errors import UserError
from mocliplite.scores import softmax

COMPUTE = params.Compute(workers=1, threads=0, device="auto", engine="inline", time_limit=300)


@dataclass(frozen=True)
class Recognizer:
    """The trained models, loaded once for many clips: `Recognizer.load("models")("clip.mp4")`."""

    clip: clip.Clip
    net: nets.GridNet | nets.EfficientNetB0
    net_settings: params.MotionNet
    heads: dict[str, np.ndarray]
    classes: list[str]
    made_of: dict[str, Any]  # settings of the features that the heads were fitted on

    @classmethod
    def load(cls, folder: str | Path = "models", compute: params.Compute = COMPUTE) -> "Recognizer":
        """Load FOLDER/motion, FOLDER/head, and the CLIP that their features came from. Raises UserError."""
        heads, config = checkpoint.load(Path(folder, "head"))
        tensors, motion_config = checkpoint.load(Path(folder, "motion"))
        made_of = config["features"]
        if any(made_of["motion_embeddings"][key] != motion_config[key] for key in ("net", "motion", "classes")):
            raise UserError(f"{folder}/head was fitted on another network than {folder}/motion; run `dvc repro`.")
        used = made_of["keyframes"]
        place = clip.locate(used["model"], used["revision"])
        if clip.describe(used["model"], used["revision"], place)["weights"] != used["weights"]:
            raise UserError(f"{place} is not the CLIP that {folder}/head was fitted on; run `dvc repro`.")
        where = device(compute)
        net = nets.restore(tensors, motion_config).to(where)
        settings = nets.settings(motion_config)
        return cls(clip.load(place, compute), net, settings, heads, config["classes"], made_of)

    def __call__(self, path: str | Path) -> list[tuple[str, float]]:
        """(class, probability) of every class, the most probable first. Raises UserError for an unusable clip."""
        features = head.fuse(self._keyframe(path), self._motion(path))
        probabilities = softmax(head.head_logits(self.heads, "fusion", features)).mean(axis=0)[0]
        order = np.argsort(-probabilities, kind="stable")
        return [(self.classes[index], float(probabilities[index])) for index in order]

    def _keyframe(self, path: str | Path) -> np.ndarray:
        """float32 [1, D1]"""
        used = self.made_of["keyframes"]
        images = [keyframe.image for keyframe in keyframes.keyframes(path, used["frames"], used["pick"])]
        return np.mean(list(clip.embed_images(self.clip, images, len(images))), axis=0, keepdims=True)

    def _motion(self, path: str | Path) -> np.ndarray:
        """float32 [1, D2]"""
        field = motion.motion_field(path, motion.settings_of(self.made_of["motion_embeddings"]["motion"]))
        shape = fit.field_shape(self.net_settings)
        sampled = fields.sample_fields(field.vectors, field.kind, (field.height, field.width), shape)
        device_of = next(self.net.parameters()).device
        embedding, _ = fit.embed_motion(self.net, torch.from_numpy(sampled[None]).to(device_of), batch=1)
        return embedding.cpu().numpy()
