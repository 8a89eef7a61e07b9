"""The words of `predict --words`, and the zero-shot recogniser for them."""

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from mocliplite import params
from mocliplite.cli._clip_source import HUB_ID, is_hub_id
from mocliplite.cli._shared import check_text
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.predict.zero_shot import ZeroShotRecognizer


def load(text: str, model: str | None, compute: params.Compute) -> "ZeroShotRecognizer":
    """Return a recogniser for words separated by commas.

    model: hub id or folder of a CLIP, None for that of params.yaml. Without a params.yaml, the prompt templates are the
    default ones, and the keyframe is the middle frame. Raises UserError for unusable words, and where no CLIP is given.
    """
    words = split(text)
    if model is not None and not Path(model).is_dir() and not is_hub_id(model):
        raise UserError(f"--clip is {model}, which is neither a folder nor a hub id such as {HUB_ID}; check it.")
    from mocliplite.encoders.checkpoints import has_pickles_alone, locate
    from mocliplite.encoders.prompts import TEMPLATES, read_templates
    from mocliplite.predict.zero_shot import ZeroShotRecognizer

    if not Path(params.FILE).is_file():
        if model is None:
            raise UserError("--words needs a CLIP: give --clip with a folder or hub id; there is no params.yaml here.")
        is_local = Path(model).is_dir()
        folder = locate(model, None, pickled=is_local)
        if is_local and has_pickles_alone(folder):
            raise UserError(
                f"{folder} has pickled weights alone, which can run programs when they are read; if you trust who made "
                "it, convert it with save_pretrained, or run in a project with encoder.pickled_weights: true."
            )
        return ZeroShotRecognizer.load(folder, words, TEMPLATES, compute)
    settings = params.load().encoder
    if model is None and settings.features != params.NO_PATH:
        raise UserError("--words needs a CLIP: give --clip; encoder.features are embeddings that were made elsewhere.")
    folder = (
        locate(settings.model, settings.revision, settings.pickled_weights)
        if model is None
        else locate(model, None, settings.pickled_weights)
    )
    templates = read_templates(settings.prompts)
    return ZeroShotRecognizer.load(folder, words, templates, compute, settings.frames, settings.pick)


def split(text: str) -> list[str]:
    """Return the words of a list separated by commas. Raises UserError for unusable words, or fewer than 2."""
    check_text(text, "--words")
    words = [" ".join(unicodedata.normalize("NFC", word).split()) for word in text.split(",")]
    if "" in words:
        raise UserError(f"--words {text!r} has an empty word; write words separated by single commas.")
    if len(words) == 1:
        raise UserError(f"--words {text!r} is one word; give at least two, separated by commas.")
    seen: set[str] = set()
    for word in words:
        # CLIP does not distinguish upper and lower case.
        if word.casefold() in seen:
            raise UserError(f"--words has {word!r} twice; remove one.")
        seen.add(word.casefold())
    return words
