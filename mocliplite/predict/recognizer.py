"""The recogniser: the trained models, applied to new clips."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.errors import MachineError, UserError
from mocliplite.fusion import methods
from mocliplite.fusion.answers import Answers, answer
from mocliplite.fusion.pairs import keyframe_views
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.motion_net import sampling
from mocliplite.motion_net.footage import checked, footage_of, warning
from mocliplite.motion_net.settings import settings_from_config
from mocliplite.predict.decoding import DecodedClip, classify_decoded, decode
from mocliplite.predict.models import ONNX, Networks, check_values, load_models, other_version
from mocliplite.predict.published import folder_of
from mocliplite.video.streams import Limits

COMPUTE = params.DEFAULT_COMPUTE
_OWN = Path("models")  # of the project, whose stages wrote them
# What torch and onnxruntime say where memory cannot be allocated.
_FULL = ("out of memory", "not enough memory", "allocate memory", "bad_alloc", "ALLOC_FAILED")


@dataclass(frozen=True)
class Prediction:
    """The classification of one clip."""

    path: str
    classes: list[tuple[str, float]]  # every class with its probability, the most probable first
    shares: dict[str, float]  # Shapley value of each stream in the fusion's logit of the first class
    milliseconds: dict[str, float]  # by phase; the time of a batch is divided among its clips
    embeddings: dict[str, np.ndarray] = field(repr=False, compare=False)  # by stream, float32 [D], of the plain view
    threshold: float | None = None  # probability from which on a class is found; None where each clip has one class
    warning: str | None = None  # a sentence if the clip is unlike the footage that the motion network was trained on

    def found(self, top: int) -> list[tuple[str, float]]:
        """Return the `top` most probable classes, or where a clip may have several, all that reach the threshold."""
        if self.threshold is None:
            return self.classes[:top]
        return [(name, probability) for name, probability in self.classes if probability >= self.threshold]


def ranked(classes: Sequence[str], probabilities: np.ndarray) -> list[tuple[str, float]]:
    """Return (class, probability) of every class, the most probable first, for probabilities [C]."""
    order = np.argsort(-probabilities, kind="stable")
    return [(classes[index], float(probabilities[index])) for index in order]


@contextmanager
def _wrong_values(folder: Path) -> Iterator[None]:
    """Context in which an error means that the models of a folder have other values than this version gives them."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise _load_error(folder, error) from None


def _load_error(folder: Path, error: Exception) -> UserError:
    """Return the sentence for an error while the models of a folder are loaded: of the machine, or of the models."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    if isinstance(error, MemoryError | RuntimeError):
        if isinstance(error, MemoryError) or any(words in reason for words in _FULL):
            return MachineError(
                f"the memory is too small for the models in {folder} ({reason}); end other programs, and run again."
            )
        if "CUDA" in reason:
            advice = "set compute.device to cpu (--device cpu)"
            return MachineError(f"the GPU cannot run the models in {folder} ({reason}); {advice}.")
    return UserError(f"the models in {folder} do not answer ({reason}); train or export them again.")


@dataclass(frozen=True)
class Recognizer:
    """The trained models, loaded once for many clips: `Recognizer.load("models")("clip.mp4")`."""

    networks: Networks
    net_settings: params.MotionNet
    heads: dict[str, np.ndarray]
    probes: dict[str, np.ndarray]
    classes: list[str]
    calibration: dict[str, Any]  # temperatures and mixing weights, fitted on validation clips
    provenance: dict[str, Any]  # settings of the features that the heads were fitted on
    compute: params.Compute
    footage: dict[str, Any] | None = None  # that the motion network was trained on

    @classmethod
    def load(
        cls, folder: str | Path = "models", compute: params.Compute = COMPUTE, revision: str | None = None
    ) -> "Recognizer":
        """Load motion/, probes/ and head/ of folder, and the encoder of their features.

        The networks are run by onnxruntime if the folder was exported with --format onnx, else by torch.

        folder: may also be owner/name of an exported recogniser on the Hugging Face hub, at this revision.

        Raises UserError where a model is missing, damaged or from another version of the code, was not fitted on the
        outputs of the others, or gives no probabilities, and MachineError where memory or the GPU do not suffice.
        """
        folder = folder_of(folder, revision)
        with _wrong_values(folder):
            recognizer = cls._load(folder, compute)
            if folder != _OWN:
                recognizer._answer_once()
        return recognizer

    @classmethod
    def _load(cls, folder: Path, compute: params.Compute) -> "Recognizer":
        models = load_models(folder)
        config = models.head_config
        provenance = config["features"]
        try:
            settings = settings_from_config(models.motion_config, provenance["motion_embeddings"]["views"])
        except (KeyError, TypeError):
            raise other_version(folder / "motion") from None
        # Imported only if needed: each needs a library that the other does not.
        if (folder / ONNX).is_dir():
            from mocliplite.predict import onnx_models

            networks = onnx_models.load_networks(folder, models, compute)
        else:
            from mocliplite.predict import torch_models

            networks = torch_models.load_networks(folder, models, settings, compute)
        check_values(config)  # not before: without an encoder, there are no settings of keyframes
        fitted = (models.head, models.probes, config["classes"], config["calibration"], provenance)
        return cls(networks, settings, *fitted, compute, checked(models.motion_config.get("footage")))

    @property
    def is_multi_label(self) -> bool:
        """Whether a clip may have several classes."""
        return methods.is_multi_label(self.calibration)

    def __call__(self, path: str | Path) -> list[tuple[str, float]]:
        """Return (class, probability) of every class, the most probable first.

        Raises UserError for a clip that cannot be used.
        """
        (prediction,) = self.predict([str(path)])
        if isinstance(prediction, UserError):
            raise prediction
        return prediction.classes

    def predict(self, paths: Iterable[str]) -> Iterator[Prediction | UserError]:
        """Yield a Prediction for each path, in order; for a clip that cannot be used, the UserError.

        Clips are decoded ahead in subprocesses, so that a clip that crashes the decoder does not affect the others.
        """
        keyframes = self.provenance["keyframes"]
        motion = extraction.settings_of(self.provenance["motion_embeddings"]["motion"])
        arguments = keyframes["frames"], keyframes["pick"], motion, Limits.of(self.compute)
        yield from classify_decoded(decode, arguments, self._classify, paths, self.compute)

    def features(self, clips: list[DecodedClip]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Return the features as pairs.h5 has them, and milliseconds by network.

        keyframe float32 [N, K1, D1], motion float32 [N, K, D2], motion_logits float32 [N, C].
        """
        start = time.perf_counter()
        images = [keyframe.image for clip in clips for keyframe in clip.keyframes]
        rows = np.stack(list(self.networks.embed_images(images)))
        keyframes_embedded = time.perf_counter()
        fields = [np.stack([self._sample(clip.field, view) for clip in clips]) for view in self.net_settings.views]
        motion = self.motion_features(fields)
        motion_embedded = time.perf_counter()
        features = self.keyframe_features(rows.reshape(len(clips), -1, rows.shape[1])) | motion
        milliseconds = {
            "encoder": 1000 * (keyframes_embedded - start),
            "motion network": 1000 * (motion_embedded - keyframes_embedded),
        }
        return features, milliseconds

    def keyframe_features(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return `keyframe` of pairs.h5 for the embeddings of the keyframes, float32 [N, F, D]."""
        return {"keyframe": keyframe_views(rows)}

    def motion_features(self, fields: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return `motion` and `motion_logits` of pairs.h5 for the fields of each view, [N, frames, 3, rows, cols]."""
        views = [
            self.networks.embed_motion(part, view) for part, view in zip(fields, self.net_settings.views, strict=True)
        ]
        return {
            "motion": np.stack([embedding for embedding, _ in views], axis=1),
            "motion_logits": np.mean([logits for _, logits in views], axis=0),
        }

    def answers(self, features: dict[str, np.ndarray]) -> Answers:
        """Return the answers to clips with these features."""
        logits = methods.calibrate(methods.trained_logits(self.heads, self.probes, features), self.calibration)
        return answer(self.calibration, logits, self.heads, features)

    def _answer_once(self) -> None:
        """Answer to a black picture without motion. Raises ValueError for what are no probabilities of the classes.

        Others may have made the models: a value of another type or an array of another shape is found here, not at a
        clip.
        """
        net, keyframes = self.net_settings, self.provenance["keyframes"]
        row = self.networks.embed_one(np.zeros((48, 64, 3), np.uint8))
        extraction.settings_of(self.provenance["motion_embeddings"]["motion"])
        still = np.zeros((1, net.frames, 3, net.rows, net.cols), np.float32)
        features = self.keyframe_features(np.repeat(row[None, None], keyframes["frames"], axis=1))
        features |= self.motion_features([still] * len(net.views))
        with np.errstate(all="ignore"):
            probabilities = self.answers(features).probabilities
        in_range = ((probabilities >= 0) & (probabilities <= 1)).all()
        self._threshold()
        if probabilities.shape != (1, len(self.classes)) or not in_range:
            raise ValueError("no probabilities of the classes")

    def _threshold(self) -> float | None:
        """Return the probability from which on a clip has a class; None where each clip has one class."""
        return float(self.calibration["f1_threshold"][self.calibration["answer"]]) if self.is_multi_label else None

    def _sample(self, field: Field, view: str) -> np.ndarray:
        net = self.net_settings
        vectors = field.vectors[sampling.frames_at(field.kind, sampling.view_positions(net, view))]
        size, grid = (field.height, field.width), (net.rows, net.cols)
        return sampling.sample_fields(vectors, size, grid, net.remove_global_motion)

    def _classify(self, clips: list[tuple[str, DecodedClip]]) -> list[Prediction]:
        features, milliseconds = self.features([clip for _, clip in clips])
        start = time.perf_counter()
        answers = self.answers(features)
        milliseconds["head"] = 1000 * (time.perf_counter() - start)
        per_clip = {phase: total / len(clips) for phase, total in milliseconds.items()}
        threshold = self._threshold()
        predictions = []
        for row, (path, clip) in enumerate(clips):
            classes = ranked(self.classes, answers.probabilities[row])
            clip_shares = {stream: float(values[row]) for stream, values in answers.shares.items()}
            embeddings = {stream: features[stream][row, 0] for stream in answers.shares}
            durations = clip.milliseconds | per_clip
            unlike = warning(footage_of(vars(clip.field)), self.footage)
            predictions.append(Prediction(path, classes, clip_shares, durations, embeddings, threshold, unlike))
        return predictions
