"""Checkpoints on disk: where they are, and what identifies them. Nothing heavy is imported.

A checkpoint is a folder in the format of Hugging Face transformers, from a local path or from the hub.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mocliplite import hub, versions
from mocliplite.errors import UserError, reading, refuse_special
from mocliplite.files import atomic_write, parse_json, read_text, write_bytes, write_text

NEEDED = ("config.json", "preprocessor_config.json")
# In order of preference. An index names the files among which the weights are divided.
_WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
# Checkpoints on the hub whose pickled weights are read without the setting: that of the paper has no others at the
# revision of configs/.
_PICKLED = ("openai/clip-vit-base-patch32",)
# Next to weights that were converted from pickle: both digests, so that the checkpoint keeps its identity.
_CONVERTED = "converted.json"
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json"),
    *("vocab.txt", "sentencepiece.bpe.model", "added_tokens.json"),
)
# Keys that make transformers load other files than those above, by file. attribute_map lets any key mean another one.
_REDIRECTIONS = {
    "config.json": ("transformers_weights", "configuration_files", "attribute_map"),
    "tokenizer_config.json": ("fast_tokenizer_files",),
}
# Files that transformers loads beside the weights, or in place of them: adapters of peft, and parts of weights.
_MORE_WEIGHTS = ("adapter_config.json", "shard-*-model-*-of-*.safetensors")
# Files that transformers takes for the vocabulary where there is no tokenizer.json.
_MORE_VOCABULARY = ("tekken.json", "tiktoken.model", "tokenizer.model")
_ATTENTION = (
    "eager",
    "sdpa",
    "flex_attention",
)  # code of torch and transformers alone; transformers gets other code from the hub
_BLOCK = 1 << 20  # bytes that are copied at a time
_VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model")  # any of these is enough
# Families with a text encoder, by `model_type` in config.json. Texts are embedded as each was trained (embedding.py).
TEXT_FAMILIES = ("clip", "siglip", "siglip2", "altclip", "metaclip_2", "chinese_clip", "align")


def locate(model: str, revision: str | None, pickled: bool = False) -> Path:
    """Return the local folder of a checkpoint: `model` itself, or that of a hub id, downloaded if it is not cached.

    pickled: as encoder.pickled_weights. Raises UserError that names the model, the revision and how to get it, and for
    a checkpoint whose weights may not be read.
    """
    folder = Path(model)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):  # whatever of it transformers opens
            refuse_special(path)
        missing = _missing_files(folder)
        if missing:
            raise UserError(f"{folder} is not a checkpoint: {missing} is missing; save one there with save_pretrained.")
        return _allowed(folder, pickled)
    found = _from_hub(model, revision, pickled or model in _PICKLED)
    if found is None:
        at = f" --revision {revision}" if revision else ""
        # A copy has no name that allows its weights.
        allow = ", and encoder.pickled_weights to true" if model in _PICKLED and not pickled else ""
        raise UserError(
            f"{model!r} (revision {revision or 'main'}) is neither a local folder nor in the local hub cache, and "
            f"the hub cannot be reached; on a machine with network run `hf download {model}{at}`, copy the folder it "
            f"prints, and set encoder.model and encoder.files to the copy{allow}."
        )
    return found


def _allowed(folder: Path, pickled: bool) -> Path:
    """Return the folder. Raises UserError for a redirection, and for pickled weights alone that are not allowed."""
    refuse_redirections(folder)
    if not pickled and has_pickles_alone(folder):
        raise _pickled_alone(folder)
    return folder


def refuse_redirections(folder: Path) -> None:
    """Raise UserError if transformers would load other files of a folder than those that are checked here.

    The permission for pickled weights, and `cache_key`, would then be about files that are not loaded.
    """
    for name, refused in _REDIRECTIONS.items():
        path = folder / name
        for key, value in _entries(read_json_object(path)) if path.is_file() else ():
            if key in refused:
                raise UserError(
                    f"{path} has the key {key!r}, by which other files can be loaded than those that identify the "
                    "checkpoint; remove the key, or choose another checkpoint."
                )
            if _asks_for_code(key, value):
                raise UserError(
                    f"{path} has {key!r} {value!r}, for which code could come from the hub; remove the key, or choose "
                    "another checkpoint."
                )
    more = _MORE_WEIGHTS if (folder / "tokenizer.json").is_file() else (*_MORE_WEIGHTS, *_MORE_VOCABULARY)
    for path in sorted(folder.iterdir()):
        # macOS and Windows find a file also by a name in other letter case.
        if any(fnmatchcase(path.name.lower(), pattern) for pattern in more):
            raise UserError(
                f"{path} can be loaded in place of the files that identify the checkpoint; remove it, or choose "
                "another checkpoint."
            )
    processor, preprocessing = folder / "processor_config.json", folder / "preprocessor_config.json"
    if processor.is_file() and preprocessing.is_file():
        nested = read_json_object(processor).get("image_processor")
        if nested is not None and nested != read_json_object(preprocessing):
            raise UserError(
                f"{processor} has another 'image_processor' than {preprocessing.name}; keep the right one of both "
                "files, or choose another checkpoint."
            )


def _asks_for_code(key: str, value: object) -> bool:
    """Return whether transformers may get code for this key of config.json from the hub."""
    if key.endswith("attn_implementation"):  # one for all parts of the model, or by part
        chosen = value.values() if isinstance(value, dict) else [value]
        return any(one is not None and one not in _ATTENTION for one in chosen)
    return key == "quantization_config" and value is not None


def _entries(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a JSON object and of the objects in it: transformers may take one of these."""
    waiting = [settings]
    while waiting:
        entries = waiting.pop()
        yield from entries.items()
        waiting += [value for value in entries.values() if isinstance(value, dict)]


def _pickled_alone(checkpoint: str | Path) -> UserError:
    return UserError(
        f"{checkpoint} has pickled weights alone, in which errors of the reader can run programs; choose a checkpoint "
        "with safetensors, or set encoder.pickled_weights to true if you trust who made it."
    )


def has_pickles_alone(folder: Path) -> bool:
    """Return whether a checkpoint has no weights as safetensors."""
    return weight_files(folder)[0].suffix != ".safetensors"


def needs_leave(model: str, folder: Path) -> bool:
    """Return whether the checkpoint of a hub id, which is in folder, loads only with encoder.pickled_weights."""
    return has_pickles_alone(folder) and model not in _PICKLED


def is_available(model: str, revision: str | None) -> bool:
    """Return whether a checkpoint is a local folder, or complete in the local hub cache. Uses no network."""
    if Path(model).is_dir():
        return not _missing_files(Path(model))
    found = hub.cached(model, revision) if hub.is_name(model) else None
    return found is not None and not _missing_files(found)


def family(folder: Path) -> str:
    """Return the family of a checkpoint: `model_type` in config.json; "clip" where it says nothing."""
    return str(read_json_object(folder / "config.json").get("model_type", "clip"))


def has_text_encoder(folder: Path) -> bool:
    """Return whether the checkpoint also embeds texts."""
    return family(folder) in TEXT_FAMILIES


def cache_key(folder: Path) -> dict[str, Any]:
    """Return what decides the embeddings of a checkpoint, by content. Reads files only, imports nothing heavy.

    The folder's path and the hub id are no part of it: the same checkpoint gives the same embeddings anywhere.
    """
    texts = [folder / name for name in _TOKENIZER if (folder / name).is_file()]
    return {
        "weights": _origin(folder),
        # The same weights give other embeddings with another activation or another number of heads.
        "config": _digest([folder / "config.json"]),
        "preprocessing": read_json_object(folder / "preprocessor_config.json"),
        "tokenizer": {path.name: _digest([path]) for path in texts},
        "version": versions.KEYFRAMES,
    }


def locate_same(
    key: dict[str, Any], model: str, revision: str | None, exported: Path | None = None, pickled: bool = False
) -> Path:
    """Return the folder of the checkpoint with this cache_key: `exported` if it exists, else the model's.

    key: may hold further entries, as the settings of a store do. pickled: as in `locate`; what is exported has
    safetensors. Raises UserError if the checkpoint is another one, or if the features were not made by a checkpoint
    (own_features.py).
    """
    if "features" in key:
        raise UserError(
            f"the keyframe embeddings are those of {key['name']!r} from a file (encoder.features), so neither a new "
            "clip nor a text can be embedded; for that, set encoder.features to configs/none and encoder.model to a "
            "checkpoint, and run `dvc repro`."
        )
    if exported is not None and exported.is_dir():
        folder = locate(str(exported), None)
    else:
        folder = locate(model, revision, pickled)
    different = [name for name, value in cache_key(folder).items() if key.get(name) != value]
    if different:
        raise UserError(
            f"{folder} is not the checkpoint that the features were made with ({different[0]} differs); "
            "run `dvc repro`, or set encoder.model to that checkpoint."
        )
    return folder


def copy_checkpoint(folder: Path, out: Path) -> None:
    """Copy what loading needs to a new folder. Pickled weights are converted to safetensors, which contain no code."""
    out.mkdir()
    weights = weight_files(folder)
    pickled = [path for path in weights if path.suffix != ".safetensors"]
    texts = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".txt", ".model")]
    for path in [*texts, *(weights if not pickled else [])]:
        if not (pickled and path.name.endswith(".index.json")):
            _copy(path, out / path.name)
    if pickled:
        from pickle import UnpicklingError

        import torch
        from safetensors.torch import save as serialise

        tensors: dict[str, torch.Tensor] = {}
        for path in pickled:
            try:
                with reading(path):
                    tensors |= torch.load(path, map_location="cpu", weights_only=True)
            except (UnpicklingError, EOFError, RuntimeError, TypeError):
                raise UserError(f"{path} does not contain tensors alone; download it again.") from None
        # Copies, as safetensors takes no tensors that share memory; one by one, as there may be gigabytes.
        separate = {name: tensors.pop(name).clone().contiguous() for name in list(tensors)}
        # As bytes: see checkpoint.py.
        write_bytes(out / _WEIGHTS[0], serialise(separate, metadata={"format": "pt"}))
        write_text(out / _CONVERTED, json.dumps({"from": _digest(weights), "to": _digest([out / _WEIGHTS[0]])}))


def _copy(path: Path, out: Path) -> None:
    """Copy a file. Raises MachineError that names the one of the two whose disk fails."""
    with atomic_write(out) as partial, partial.open("wb") as file:
        for block in _blocks(path):
            file.write(block)


def _blocks(path: Path) -> Iterator[bytes]:
    with reading(path), path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def weight_files(folder: Path) -> list[Path]:
    """Return the files with the weights of a checkpoint, sorted.

    Raises UserError if there are none, or an index names a missing file, one elsewhere, or one of the other kind.
    """
    first = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        raise UserError(f"{folder} has no weights; download the checkpoint again.")
    if first.suffix != ".json":
        return [first]
    file_by_weight = read_json_object(first).get("weight_map")
    if not isinstance(file_by_weight, dict) or not file_by_weight:
        raise UserError(f"{first} names no files of weights; download the checkpoint again.")
    paths = sorted({folder / str(name) for name in file_by_weight.values()})
    for path in paths:
        if path.parent != folder or not path.is_file():
            raise UserError(f"{first} names {path.name}, which is not in {folder}; download the checkpoint again.")
        if path.suffix != Path(first.name.partition(".index")[0]).suffix:
            raise UserError(f"{first} names {path.name}, which has another format; download the checkpoint again.")
    return paths


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the digests of several files."""
    digests = []
    for path in paths:
        with reading(path), path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _origin(folder: Path) -> str:
    """Return the digest of the weights, or of the pickled weights from which they were converted."""
    digest = _digest(weight_files(folder))
    if (folder / _CONVERTED).is_file():
        record = read_json_object(folder / _CONVERTED)
        return str(record.get("from")) if record.get("to") == digest else digest
    return digest


def _missing_files(folder: Path) -> str:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _WEIGHTS):
        missing.append(_WEIGHTS[0])
    else:
        try:
            weight_files(folder)
        except UserError:
            missing.append("a weight file that the index names")
    if not any((folder / name).is_file() for name in _VOCABULARY) and _needs_vocabulary(folder):
        missing.append("tokenizer.json")
    return ", ".join(missing)


def _needs_vocabulary(folder: Path) -> bool:
    try:
        return has_text_encoder(folder)
    except (UserError, OSError):  # config.json is damaged or missing, which has its own sentence
        return True


def _from_hub(model: str, revision: str | None, pickled: bool) -> Path | None:
    """The snapshot's folder: from the local cache, else from the network, else None.

    Pickled weights that are not allowed are not downloaded.
    """
    if not hub.is_name(model):
        raise UserError(
            f"params.yaml: encoder.model is {model!r}, which is neither a local folder nor a hub id such as "
            "openai/clip-vit-base-patch32."
        )
    cached = hub.cached(model, revision)
    if cached and not _missing_files(cached):
        return _allowed(cached, pickled)
    try:
        names = hub.file_names(model, revision)
        if names is None:
            return None
        weights = next((name for name in _WEIGHTS if name in names), _WEIGHTS[0])
        if not pickled and ".safetensors" not in weights:
            raise _pickled_alone(model)
        folder = hub.download(model, revision, _patterns(weights))
    except hub.NotOnHubError:
        raise UserError(
            f"params.yaml: the hub has no model {model!r} at this revision, or not for you; {hub.CHECK_LOGIN}."
        ) from None
    if folder is None:
        raise UserError(f"the download of {model!r} from the hub broke off; run the same command again to continue it.")
    missing = _missing_files(folder)
    if missing:
        raise UserError(f"{model!r} has no {missing} on the hub; choose a checkpoint in transformers' format.")
    return _allowed(folder, pickled)


def _patterns(weights: str) -> tuple[str, ...]:
    """Return patterns of the files that loading needs, from the name of the weights or of their index."""
    # Those that an index names are called model-00001-of-00002.safetensors and so on.
    weights = weights.replace(".safetensors.index.json", "-*.safetensors").replace(".bin.index.json", "-*.bin")
    return "*.json", "*.txt", "*.model", weights


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the settings in a JSON file of a checkpoint. Raises UserError if it contains no JSON object."""
    try:
        content = parse_json(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); download the checkpoint again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings; download the checkpoint again.")
    return content
