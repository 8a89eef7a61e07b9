"""Embed the class names with the frozen CLIP text tower.

Reads features/clips.csv, the CLIP checkpoint, the templates in encoder.prompts and the names in encoder.names; writes
features/prompts.h5.
"""

import numpy as np

from mocliplite import params
from mocliplite.data.clips import class_names, read_clips
from mocliplite.encoders import checkpoints, clip
from mocliplite.encoders.prompts import flatten_names, read_names, read_templates, readable_name
from mocliplite.errors import run
from mocliplite.store import table_file


def main() -> None:
    settings = params.load()
    templates = read_templates(settings.encoder.prompts)
    class_phrases = read_names(settings.encoder.names)
    checkpoint = checkpoints.locate(settings.encoder.model, settings.encoder.revision)
    classes = class_names(read_clips("features/clips.csv"))
    model = clip.load_clip(checkpoint, settings.compute)

    phrases = {label: class_phrases.get(label, [readable_name(label)]) for label in classes}
    names, class_of_name = flatten_names(classes, phrases)
    rows = clip.embed_classes(model, names, templates)
    mean = np.stack([rows[np.equal(class_of_name, index)].mean(axis=0) for index in range(len(classes))])
    arrays = {
        "classes": np.array(classes, dtype=str),
        "embedding": mean / np.linalg.norm(mean, axis=1, keepdims=True),
        "names": np.array(names, dtype=str),
        "templates": np.array(templates, dtype=str),
        "logit_scale": np.array(clip.logit_scale(model), dtype=np.float32),
    }
    made_with = {**checkpoints.cache_key(checkpoint), "templates": templates, "names": phrases}
    provenance = {"model": settings.encoder.model, "revision": settings.encoder.revision}
    table_file.write_table("features/prompts.h5", "prompts", arrays, made_with, provenance)
    print(
        f"{len(names)} names of {len(classes)} classes x {len(templates)} templates; "
        f"the first name of {classes[0]} is {names[0]!r}"
    )


if __name__ == "__main__":
    run(main)
