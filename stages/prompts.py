"""Embed the class names with the frozen text encoder, or take their embeddings from a file.

Reads features/clips.csv, and the checkpoint, the templates in encoder.prompts and the names in encoder.names, or
encoder.features; writes features/prompts.h5. Without embeddings of classes, it contains only the names of the classes.
"""

from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.data.clips import class_names, read_clips
from mocliplite.encoders import checkpoints, embedding, loading, own_features
from mocliplite.encoders.prompts import flatten_names, read_names, read_templates, readable_name
from mocliplite.runtime.progress import progress_range
from mocliplite.store import table_file

from . import run_stage


def main() -> None:
    settings = params.load()
    classes = class_names(read_clips("features/clips.csv"))
    if settings.encoder.features == params.NO_PATH:
        arrays, made_with = embed_prompts(settings, classes)
        provenance = {"model": settings.encoder.model, "revision": settings.encoder.revision}
    else:
        features = own_features.read_own_features(settings.encoder.features)
        arrays, made_with = own_features.prompts(features, classes), own_features.cache_key(features)
        provenance = {"model": features.name, "revision": None}
    if not arrays:
        print("there are no embeddings of the classes, so there is no zero-shot recognition")
    arrays = {"classes": np.array(classes, dtype=str), **arrays}
    table_file.write_table("features/prompts.h5", "prompts", arrays, made_with, provenance)


def embed_prompts(settings: params.Params, classes: list[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of prompts.h5 besides `classes`, none without a text encoder, and its settings."""
    chosen = settings.encoder
    templates, class_phrases = read_templates(chosen.prompts), read_names(chosen.names)
    checkpoint = checkpoints.locate(chosen.model, chosen.revision, chosen.pickled_weights)
    if not checkpoints.has_text_encoder(checkpoint):
        return {}, checkpoints.cache_key(checkpoint)
    encoder = loading.load_encoder(checkpoint, settings.compute)

    phrases = {label: class_phrases.get(label, [readable_name(label)]) for label in classes}
    names, class_of_name = flatten_names(classes, phrases)
    bar = progress_range("prompts", len(names), "name")
    rows = np.concatenate([embedding.embed_classes(encoder, [names[index]], templates) for index in bar])
    mean = np.stack([rows[np.equal(class_of_name, index)].mean(axis=0) for index in range(len(classes))])
    arrays = {
        "embedding": mean / np.linalg.norm(mean, axis=1, keepdims=True),
        "names": np.array(names, dtype=str),
        "templates": np.array(templates, dtype=str),
        "logit_scale": np.array(embedding.logit_scale(encoder), dtype=np.float32),
    }
    print(
        f"{len(names)} names of {len(classes)} classes x {len(templates)} templates; "
        f"the first name of {classes[0]} is {names[0]!r}"
    )
    return arrays, {**checkpoints.cache_key(checkpoint), "templates": templates, "names": phrases}


if __name__ == "__main__":
    run_stage("prompts", main)
