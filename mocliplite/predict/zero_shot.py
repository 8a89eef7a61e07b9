"""Zero-shot recognition of any words, without training: a frozen encoder compares a clip's keyframe with texts."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite import params
from mocliplite.encoders.checkpoints import has_text_encoder
from mocliplite.encoders.embedding import embed_classes, embed_images, logit_scale
from mocliplite.encoders.loading import Encoder, load_encoder
from mocliplite.errors import UserError
from mocliplite.evaluation.metrics import softmax
from mocliplite.fusion.methods import zero_shot_logits
from mocliplite.predict.decoding import classify_decoded, decode_keyframes
from mocliplite.predict.recognizer import Prediction, ranked
from mocliplite.video.keyframes import Keyframe
from mocliplite.video.streams import Limits

DecodedKeyframes = tuple[list[Keyframe], dict[str, float]]  # the result of decode_keyframes


@dataclass(frozen=True)
class ZeroShotRecognizer:
    """A loaded encoder of images and texts, such as CLIP, and the words that it chooses from."""

    encoder: Encoder
    words: list[str]
    prompts: np.ndarray  # float32 [C, D], unit embedding of each word
    frames: int  # as encoder.frames
    pick: str  # as encoder.pick
    compute: params.Compute

    @classmethod
    def load(
        cls,
        folder: Path,
        words: Sequence[str],
        templates: Sequence[str],
        compute: params.Compute,
        frames: int = 1,
        pick: str = "middle",
    ) -> "ZeroShotRecognizer":
        """Load the checkpoint of a folder, and embed the words with the prompt templates.

        Raises UserError for an encoder of images alone.
        """
        if not has_text_encoder(folder):
            raise UserError(f"{folder} embeds no texts, so it cannot compare clips with words; give another --clip.")
        encoder = load_encoder(folder, compute)
        return cls(encoder, list(words), embed_classes(encoder, words, templates), frames, pick, compute)

    def predict(self, paths: Iterable[str]) -> Iterator[Prediction | UserError]:
        """Yield a Prediction for each path, in order; for a clip that cannot be used, the UserError.

        The probabilities are not calibrated: softmax of the encoder's logit scale times the cosines. There are no
        shares, since the keyframe is the only stream.
        """
        arguments = self.frames, self.pick, Limits.of(self.compute)
        yield from classify_decoded(decode_keyframes, arguments, self._classify, paths, self.compute)

    def _classify(self, clips: list[tuple[str, DecodedKeyframes]]) -> list[Prediction]:
        start = time.perf_counter()
        images = [keyframe.image for _, (keyframes, _) in clips for keyframe in keyframes]
        rows = np.stack(list(embed_images(self.encoder, images, batch=1)))
        means = rows.reshape(len(clips), -1, rows.shape[1]).mean(axis=1)
        probabilities = softmax(zero_shot_logits(means, self.prompts, logit_scale(self.encoder)))
        milliseconds = {"encoder": 1000 * (time.perf_counter() - start) / len(clips)}
        return [
            Prediction(path, ranked(self.words, row), {}, decoding | milliseconds, {"keyframe": mean})
            for (path, (_, decoding)), row, mean in zip(clips, probabilities, means, strict=True)
        ]
