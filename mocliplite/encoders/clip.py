"""The frozen CLIP: images and texts to vectors. The only module that imports transformers' CLIP.

transformers and torch are imported where a model is loaded, so that a stage with nothing to compute starts at once.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite import params, versions
from mocliplite.errors import UserError
from mocliplite.files import write_text

if TYPE_CHECKING:
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer


_NEEDED = ("config.json", "preprocessor_config.json")
# In the order of preference; an index names the several files that hold the weights together.
_WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
# Beside weights that were pickled and are safetensors now: both digests, so that they are still known for the same.
_CONVERTED = "converted.json"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
# The last bits of an image's embedding depend on its place in a batch that is not a multiple of this, in the MKL code
# that is the same for all makers of processors.
_ROWS = 4


@dataclass(frozen=True)
class Clip:
    """A loaded checkpoint: model in eval mode, and the preprocessing that came with it."""

    model: "CLIPModel"
    processor: "CLIPImageProcessorPil"
    tokenizer: "CLIPTokenizer"


def locate(model: str, revision: str | None) -> Path:
    """The local folder of a checkpoint: `model` itself, or a hub id's, fetched where it is not in the local cache.

    Raises UserError that names the model, the revision and how to get it.
    """
    folder = Path(model)
    if folder.is_dir():
        lacking = _lacking(folder)
        if lacking:
            raise UserError(f"{folder} is no CLIP checkpoint: it lacks {lacking}; save one there with save_pretrained.")
        return folder
    found = _from_hub(model, revision)
    if found is None:
        at = f" --revision {revision}" if revision else ""
        raise UserError(
            f"CLIP {model!r} (revision {revision or 'main'}) is neither a local folder nor in the local hub cache, and "
            f"the hub cannot be reached; on a machine with network run `hf download {model}{at}`, copy the folder it "
            "prints, and set clip.model and clip.files to the copy."
        )
    return found


def at_hand(model: str, revision: str | None) -> bool:
    """Whether a checkpoint is a local folder, or whole in the local hub cache; asks no network."""
    if Path(model).is_dir():
        return not _lacking(Path(model))
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, _NEEDED[0], revision=revision)
    except HFValidationError:
        return False
    return isinstance(found, str) and not _lacking(Path(found).parent)


def cache_key(folder: Path) -> dict[str, Any]:
    """Return what decides the embeddings of a checkpoint, by content. Reads files only, imports nothing heavy.

    The folder's path and the hub id are no part of it: the same checkpoint gives the same embeddings anywhere.
    """
    texts = [folder / name for name in _TOKENIZER if (folder / name).is_file()]
    return {
        "weights": _origin(folder),
        # The same weights give other embeddings with another activation or another number of heads.
        "config": _digest([folder / "config.json"]),
        "preprocessing": _read_json(folder / "preprocessor_config.json"),
        "tokenizer": {path.name: _digest([path]) for path in texts},
        "version": versions.KEYFRAMES,
    }


def locate_same(key: dict[str, Any], model: str, revision: str | None, exported: Path | None = None) -> Path:
    """Return the folder of the checkpoint with this cache_key: `exported` if it exists, else the model's.

    key: may hold further entries, as the settings of a store do. Raises UserError if the checkpoint is another one.
    """
    folder = exported if exported is not None and exported.is_dir() else locate(model, revision)
    different = [name for name, value in cache_key(folder).items() if key.get(name) != value]
    if different:
        raise UserError(
            f"{folder} is not the CLIP checkpoint that the features were made with ({different[0]} differs); "
            "run `dvc repro`, or set clip.model to that checkpoint."
        )
    return folder


def copy_checkpoint(folder: Path, out: Path) -> None:
    """Copy what loading needs into a folder; weights that are pickled become safetensors, which run no code."""
    out.mkdir()
    weights = weight_files(folder)
    pickled = [path for path in weights if path.suffix != ".safetensors"]
    texts = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".txt")]
    for path in [*texts, *(weights if not pickled else [])]:
        if not (pickled and path.name.endswith(".index.json")):
            shutil.copyfile(path, out / path.name)
    if pickled:
        import torch
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        for path in pickled:
            tensors |= torch.load(path, map_location="cpu", weights_only=True)
        held = {name: value.clone().contiguous() for name, value in tensors.items()}
        save_file(held, out / _WEIGHTS[0], metadata={"format": "pt"})
        write_text(out / _CONVERTED, json.dumps({"from": _digest(weights), "to": _digest([out / _WEIGHTS[0]])}))


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights, sorted. Raises UserError for an index that names files not there."""
    first = next(folder / name for name in _WEIGHTS if (folder / name).is_file())
    if first.suffix != ".json":
        return [first]
    places = _read_json(first).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{first} names no files of weights; get the checkpoint again.")
    paths = sorted({folder / str(name) for name in places.values()})
    for path in paths:
        if path.parent != folder or not path.is_file():
            raise UserError(f"{first} names {path.name}, which is not in {folder}; get the checkpoint again.")
    return paths


def _digest(paths: Sequence[Path]) -> str:
    """Hex digest of a file, or of the digests of several."""
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _origin(folder: Path) -> str:
    """The digest of a checkpoint's weights, or of those that they were converted from."""
    digest = _digest(weight_files(folder))
    if (folder / _CONVERTED).is_file():
        told = _read_json(folder / _CONVERTED)
        return str(told.get("from")) if told.get("to") == digest else digest
    return digest


def cost(folder: Path) -> dict[str, int]:
    """Parameters of the image tower and multiply-accumulates of one image, from the checkpoint's configuration."""
    vision = _read_json(folder / "config.json").get("vision_config", {})
    width, layers = vision.get("hidden_size", 768), vision.get("num_hidden_layers", 12)
    inner, patch = vision.get("intermediate_size", 3072), vision.get("patch_size", 32)
    dim = _read_json(folder / "config.json").get("projection_dim", 512)
    patches = (vision.get("image_size", 224) // patch) ** 2
    tokens = patches + 1
    layer = 4 * width * width + 2 * width * inner
    macs = patches * 3 * patch**2 * width + layers * (tokens * layer + 2 * tokens**2 * width) + width * dim
    biases = 4 * width + inner + width + 4 * width
    parameters = 3 * patch**2 * width + width + tokens * width + 4 * width + layers * (layer + biases) + width * dim
    return {"parameters": parameters, "macs": macs}


def load_clip(folder: Path, compute: params.Compute) -> Clip:
    """Load a checkpoint from a folder, in eval mode, on the device that compute names."""
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    from pickle import UnpicklingError

    import torch
    from safetensors import SafetensorError
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
    from transformers.utils import logging

    from mocliplite.encoders.linear import use_onednn
    from mocliplite.runtime.device import device

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for name in _NEEDED:
        _read_json(folder / name)
    where = {"pretrained_model_name_or_path": folder, "local_files_only": True}
    try:
        model, report = CLIPModel.from_pretrained(**where, dtype=torch.float32, output_loading_info=True)
        processor = CLIPImageProcessorPil.from_pretrained(**where)
        tokenizer = CLIPTokenizer.from_pretrained(**where)
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder} does not load as a CLIP checkpoint ({reason}); get it again.") from None
    # transformers fills what the file lacks with random numbers, and says so only in its log.
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise UserError(f"{folder} lacks {len(lacking)} of a CLIP's weights, such as {lacking[0]}; get it again.")
    if processor.crop_size is None:
        processor.do_center_crop = False
    size, (height, width) = model.config.vision_config.image_size, _input_size(folder, processor)
    if (height, width) != (size, size):
        raise UserError(
            f"{folder}: preprocessor_config.json cuts {width}x{height} pixels, but config.json wants {size}x{size}; "
            "get it again."
        )
    torch_device = device(compute)
    if torch_device.type == "cpu":
        use_onednn(model)
    return Clip(model.eval().to(torch_device), processor, tokenizer)


def _input_size(folder: Path, processor: "CLIPImageProcessorPil") -> tuple[int, int]:
    """Height and width of what the preprocessing makes of a picture that is wider than high."""
    from PIL import Image

    try:
        pixels = processor(images=[Image.new("RGB", (640, 480))], return_tensors="np")["pixel_values"]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: preprocessor_config.json cannot be used ({reason}); get it again.") from None
    return pixels.shape[2], pixels.shape[3]


def preprocess(clip: Clip, images: Sequence[np.ndarray]) -> np.ndarray:
    """RGB uint8 [H, W, 3] images, of any sizes, to the model's input: float32 [N, 3, size, size]."""
    from PIL import Image

    pictures = [Image.fromarray(image) for image in images]
    return clip.processor(images=pictures, return_tensors="np")["pixel_values"]


def embed_images(clip: Clip, images: Iterable[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """embed_pixels of RGB uint8 [H, W, 3] images of any sizes."""
    return embed_pixels(clip, (preprocess(clip, [image])[0] for image in images), batch)


def embed_pixels(clip: Clip, pixels: Iterable[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """Yield the embedding of each preprocessed image in order: float32 [D], as projected, not of unit length.

    Every forward pass has the same size, the last one padded by zeros: the last bits of a result depend on it. Several
    images are padded to a multiple of _ROWS.
    """
    import torch

    size = batch if batch == 1 else math.ceil(batch / _ROWS) * _ROWS
    held: list[np.ndarray] = []

    def forward() -> Iterator[np.ndarray]:
        full = np.zeros((size, *held[0].shape), dtype=np.float32)
        full[: len(held)] = held
        with torch.inference_mode():
            out = clip.model.get_image_features(pixel_values=torch.from_numpy(full).to(clip.model.device))
        yield from out.pooler_output[: len(held)].float().cpu().numpy()

    for image in pixels:
        held.append(image)
        if len(held) == batch:
            yield from forward()
            held = []
    if held:
        yield from forward()


def embed_texts(clip: Clip, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts: float32 [N, D], as projected, not of unit length."""
    import torch

    rows = []
    for text in texts:
        # One by one: a text's value then depends on no other text's length.
        tokens = clip.tokenizer([text], truncation=True, max_length=_positions(clip), return_tensors="pt")
        with torch.inference_mode():
            out = clip.model.get_text_features(**tokens.to(clip.model.device))
        rows.append(out.pooler_output[0].float().cpu().numpy())
    return np.stack(rows)


def embed_classes(clip: Clip, names: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """Class embeddings, float32 [C, D], unit rows: the mean over templates of unit text vectors, at unit length."""
    texts = [template.format(name) for name in names for template in templates]
    rows = unit(embed_texts(clip, texts)).reshape(len(names), len(templates), -1)
    return unit(rows.mean(axis=1))


def logit_scale(clip: Clip) -> float:
    """The temperature that the model was trained with, as a factor on cosines."""
    return float(clip.model.logit_scale.detach().exp())


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at length 1: float32 [..., D]."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(length, 1e-12)


def _positions(clip: Clip) -> int:
    return int(clip.model.config.text_config.max_position_embeddings)


def _lacking(folder: Path) -> str:
    lacking = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _WEIGHTS):
        lacking.append(_WEIGHTS[0])
    else:
        try:
            weight_files(folder)
        except UserError:
            lacking.append("some of its files of weights")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        lacking.append("tokenizer.json")
    return ", ".join(lacking)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); get the checkpoint again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings; get the checkpoint again.")
    return content


def _from_hub(model: str, revision: str | None) -> Path | None:
    """The snapshot's folder: from the local cache, else from the network, else None."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        cached: Path | None = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except HFValidationError:
        raise UserError(
            f"params.yaml: clip.model is {model!r}, which is neither a local folder nor a hub id such as "
            "openai/clip-vit-base-patch32."
        ) from None
    except IncompleteSnapshotError as error:
        # So the hub's client calls a folder that lacks any file of the hub's; only those needed are fetched below.
        cached = Path(error.snapshot_path)
    except LocalEntryNotFoundError:
        cached = None
    if cached and not _lacking(cached):
        return cached
    try:
        # Asked once before the download, which would knock five times at a hub that cannot be reached.
        listed = HfApi().model_info(model, revision=revision, timeout=10).siblings or []
        weights = next((name for name in _WEIGHTS if name in {file.rfilename for file in listed}), _WEIGHTS[0])
        # Those that an index names are called model-00001-of-00002.safetensors and so on.
        weights = weights.replace(".safetensors.index.json", "-*.safetensors").replace(".bin.index.json", "-*.bin")
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=["*.json", "*.txt", weights]))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise UserError(f"params.yaml: the hub has no model {model!r} at this revision; check both.") from None
    # ValueError: what answered is no hub, such as a hotel's log-in page.
    except (HTTPError, OSError, ValueError):
        return None
    lacking = _lacking(folder)
    if lacking:
        raise UserError(f"CLIP {model!r} on the hub lacks {lacking}; choose a checkpoint in transformers' format.")
    return folder
