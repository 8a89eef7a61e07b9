"""Recognise own clips with the trained models."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mocliplite import checkpoint, params
from mocliplite.encoders.clip import Clip, embed_images, load_clip, locate_same
from mocliplite.errors import Failure, UserError
from mocliplite.evaluation.metrics import softmax
from mocliplite.fusion import methods
from mocliplite.fusion.shares import logits_by_streams, stream_shares
from mocliplite.motion import extraction
from mocliplite.motion_net import networks, sampling
from mocliplite.motion_net.embedding import embed_motion
from mocliplite.predict import decoding
from mocliplite.predict.decoding import Decoded
from mocliplite.runtime import crash_safe, engines
from mocliplite.runtime.device import device

COMPUTE = params.Compute(workers=2, threads=0, device="auto", engine="processes", time_limit=300)
BATCH = 16  # clips that go through the networks together


@dataclass(frozen=True)
class Answer:
    """What the models say of one clip."""

    path: str
    classes: list[tuple[str, float]]  # every class with its probability, the most probable first
    shares: dict[
        str, float
    ]  # what each stream adds to the fusion's logit of the first class (Shapley; see head.shares)
    milliseconds: dict[str, float]  # by phase; of networks the batch's, shared out


@dataclass(frozen=True)
class Recognizer:
    """The trained models, loaded once for many clips: `Recognizer.load("models")("clip.mp4")`."""

    clip: Clip
    net: networks.Network
    net_settings: params.MotionNet
    heads: dict[str, np.ndarray]
    probes: dict[str, np.ndarray]
    classes: list[str]
    chosen: dict[str, Any]  # temperatures and weights, so that probabilities can be believed
    provenance: dict[str, Any]  # settings of the features that the heads were fitted on
    compute: params.Compute

    @classmethod
    def load(cls, folder: str | Path = "models", compute: params.Compute = COMPUTE) -> "Recognizer":
        """Load motion/, probes/ and head/ of FOLDER, and the CLIP that their features came from: clip/ if it is there.

        Raises UserError where one is missing, damaged, or not what the others were made with.
        """
        heads, config = checkpoint.load(Path(folder, "head"))
        probes, fitted = checkpoint.load(Path(folder, "probes"))
        tensors, motion_config = checkpoint.load(Path(folder, "motion"))
        made_of = config["features"]
        if any(made_of["motion_embeddings"][key] != motion_config[key] for key in ("net", "motion", "classes")):
            raise UserError(f"{folder}/head was fitted on another network than {folder}/motion; run `dvc repro`.")
        if fitted["features"] != made_of:
            raise UserError(f"{folder}/head was fitted on other features than {folder}/probes; run `dvc repro`.")
        place = locate_same(made_of["keyframes"], Path(folder, "clip"))
        net = networks.load_network(tensors, motion_config).to(device(compute, "--device"))
        settings = networks.settings_of(motion_config)
        model = load_clip(place, compute)
        return cls(model, net, settings, heads, probes, config["classes"], config["calibration"], made_of, compute)

    def __call__(self, path: str | Path) -> list[tuple[str, float]]:
        """(class, probability) of every class, the most probable first. Raises UserError for an unusable clip."""
        (answer,) = self.answers([str(path)])
        if isinstance(answer, UserError):
            raise answer
        return answer.classes

    def answers(self, paths: Iterable[str]) -> Iterator[Answer | UserError]:
        """An answer for each path in order, or the sentence that says why there is none; the others go on.

        Clips are decoded ahead in processes of their own, so that one that crashes the decoder harms no other.
        """
        read = crash_safe.crash_safe(decoding.decode, self.compute)
        used, wanted = (
            self.provenance["keyframes"],
            extraction.settings_of(self.provenance["motion_embeddings"]["motion"]),
        )

        def one(path: str) -> tuple[str, Decoded | UserError]:
            if Path(path).is_dir():
                return path, UserError(f"{path} is a folder; give its files, such as {Path(path)}/*.mp4.")
            try:
                found = read(path, used["frames"], used["pick"], wanted)
            except UserError as error:
                return path, error
            return path, UserError(found.reason) if isinstance(found, Failure) else found

        decoded = engines.map_ahead(one, paths, self.compute.workers)
        while part := list(islice(decoded, BATCH)):
            good = [(path, found) for path, found in part if isinstance(found, Decoded)]
            told = iter(self._recognise(good) if good else [])
            for _, found in part:
                yield found if isinstance(found, UserError) else next(told)

    def features(self, clips: list[Decoded]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """keyframe [N, 1, D1], motion [N, K, D2], motion_logits [N, C] as in pairs.h5, and milliseconds of networks."""
        start = time.perf_counter()
        images = [keyframe.image for found in clips for keyframe in found.keyframes]
        rows = np.stack(list(embed_images(self.clip, images, self.provenance["keyframes"]["batch"])))
        middle = time.perf_counter()
        where = next(self.net.parameters()).device
        shown = {
            view: torch.from_numpy(np.stack([self._sampled(found, view) for found in clips])).to(where)
            for view in self.net_settings.views
        }
        seen = [embed_motion(self.net, x, self.net_settings, view) for view, x in shown.items()]
        end = time.perf_counter()
        keyframe = rows.reshape(len(clips), -1, rows.shape[1]).mean(axis=1, keepdims=True)
        streams = {
            "keyframe": keyframe,
            "motion": torch.stack([embedding for embedding, _ in seen], dim=1).cpu().numpy(),
            "motion_logits": torch.stack([logits for _, logits in seen]).mean(dim=0).cpu().numpy(),
        }
        return streams, {"CLIP": 1000 * (middle - start), "motion network": 1000 * (end - middle)}

    def _recognise(self, good: list[tuple[str, Decoded]]) -> list[Answer]:
        streams, spent = self.features([found for _, found in good])
        start = time.perf_counter()
        logits = methods.trained_logits(self.heads, self.probes, streams)
        probabilities = softmax(methods.calibrate(logits, self.chosen)["blend"]).mean(axis=0)
        shares = stream_shares(logits_by_streams(self.heads, streams), probabilities.argmax(axis=1))
        spent["head"] = 1000 * (time.perf_counter() - start)
        each = {phase: total / len(good) for phase, total in spent.items()}
        answers = []
        for row, (path, found) in enumerate(good):
            order = np.argsort(-probabilities[row], kind="stable")
            classes = [(self.classes[index], float(probabilities[row, index])) for index in order]
            own = {stream: float(values[row]) for stream, values in shares.items()}
            answers.append(Answer(path, classes, own, found.milliseconds | each))
        return answers

    def _sampled(self, found: Decoded, view: str) -> np.ndarray:
        field, net = found.field, self.net_settings
        chosen = field.vectors[sampling.frames_at(field.kind, sampling.positions(net, view))]
        return sampling.sample_fields(
            chosen, (field.height, field.width), (net.rows, net.cols), net.remove_global_motion
        )
