"""Embed the class names with the frozen CLIP text tower.

Reads features/clips.csv, the CLIP and the templates in clip.prompts; writes features/prompts.h5.
"""

import numpy as np

from mocliplite import clip, dataset, params, store
from mocliplite.errors import run


def main() -> None:
    settings = params.load()
    templates = clip.read_templates(settings.clip.prompts)
    checkpoint = clip.locate(settings.clip.model, settings.clip.revision)
    classes = dataset.class_names(dataset.read_clips("features/clips.csv"))
    model = clip.load(checkpoint, settings.compute)

    spoken = [clip.spoken(name) for name in classes]
    arrays = {
        "classes": np.array(classes, dtype=str),
        "embedding": clip.embed_classes(model, spoken, templates),
        "templates": np.array(templates, dtype=str),
        "logit_scale": np.array(clip.logit_scale(model), dtype=np.float32),
    }
    store.write_table(
        "features/prompts.h5", "prompts", arrays, clip.describe(settings.clip.model, settings.clip.revision, checkpoint)
    )
    print(f"{len(classes)} classes x {len(templates)} templates; {classes[0]} is spoken {spoken[0]!r}")


if __name__ == "__main__":
    run(main)
