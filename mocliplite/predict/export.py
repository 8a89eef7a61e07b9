"""One folder with all that prediction needs, for machines that have neither the pipeline nor its data."""

import shutil
from pathlib import Path
from typing import Any

from mocliplite import checkpoint
from mocliplite.encoders import clip
from mocliplite.errors import UserError
from mocliplite.evaluation.method_table import table
from mocliplite.files import read_json, write_text
from mocliplite.store import table_file

CARD = """# A MoCLIP-Lite recogniser of {count} classes

Tells {classes} from a short video, by the motion vectors of its codec and one frame seen by a frozen CLIP.

Where the package is installed (`pip install .` in a checkout of the project), in this folder:

```console
$ mocliplite predict --model . clip.mp4
```

```python
from mocliplite.predict import Recognizer

recognizer = Recognizer.load(".")
print(recognizer("clip.mp4")[:3])
```

## How good it is

Fitted on {train} clips; epochs and temperature were chosen on {val} others, and this table made once on {clips} more:

```text
{table}
```

Intervals draw whole groups of clips. A clip from another camera, country or crowd than those may fare worse.

## What it is made of

| part | what |
|---|---|
| `motion/` | {arch}, on fields of motion vectors |
| `probes/` | linear classifiers of both embeddings |
| `head/` | MLPs on both embeddings, {seeds} seeds averaged; how all of them are mixed, and one temperature |
| `prompts/` | class names in CLIP's text space, by {templates} templates |
| CLIP | {clip} |

Weights are safetensors, settings JSON; nothing is pickled.
"""


def export(folder: str | Path, with_clip: bool, models: str | Path = "models") -> None:
    """Write motion/, probes/, head/, prompts/, README.md, and clip/ where it is wanted or cannot be had from the hub.

    Raises UserError for a folder that holds something, and where models, features or metrics are missing.
    """
    out = Path(folder)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; name a new folder.")
    head, config = checkpoint.load(Path(models, "head"))
    probes, probes_config = checkpoint.load(Path(models, "probes"))
    net, net_config = checkpoint.load(Path(models, "motion"))
    prompts = table_file.read_table("features/prompts.h5", "prompts")
    used = config["features"]["keyframes"]
    place = clip.locate_same(used)
    holds_clip = with_clip or Path(used["model"]).is_dir()
    card = _card(config, net_config, len(prompts.arrays["templates"]), holds_clip)
    checkpoint.save(out / "head", head, config)
    checkpoint.save(out / "probes", probes, probes_config)
    checkpoint.save(out / "motion", net, net_config)
    arrays = {name: prompts.arrays[name] for name in ("embedding", "logit_scale")}
    texts = {name: prompts.arrays[name].tolist() for name in ("classes", "templates")}
    checkpoint.save(out / "prompts", arrays, texts)
    if holds_clip:
        (out / "clip").mkdir()
        for file in clip.files_of(place):
            shutil.copyfile(file, out / "clip" / file.name)
    write_text(out / "README.md", card)


def _card(config: dict[str, Any], net: dict[str, Any], templates: int, holds_clip: bool) -> str:
    metrics, data = (read_json(f"metrics/{name}.json") for name in ("eval", "data"))
    used, classes = config["features"]["keyframes"], config["classes"]
    revision = f" at {used['revision']}" if used["revision"] else ""
    return CARD.format(
        count=len(classes),
        classes=", ".join(classes[:8]) + (f" and {len(classes) - 8} more" if len(classes) > 8 else ""),
        train=data["splits"]["train"],
        val=data["splits"]["val"],
        clips=metrics["clips"],
        table=table(metrics),
        arch=net["net"]["arch"],
        seeds=config["head"]["seeds"],
        templates=templates,
        clip="`clip/`" if holds_clip else f"{used['model']}{revision}, fetched from the hub once",
    )
