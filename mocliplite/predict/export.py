"""Export: one folder with everything that prediction needs, for machines without the pipeline and its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mocliplite import checkpoint, hub, params
from mocliplite.encoders import checkpoints
from mocliplite.errors import UserError
from mocliplite.evaluation.method_table import table
from mocliplite.files import new_folder, read_json, write_json, write_text
from mocliplite.fusion.pairs import check_fitted_on, read_split
from mocliplite.predict.card import metadata
from mocliplite.predict.metrics_file import check_test_clips, read_metrics
from mocliplite.predict.models import CLIP_FILE, ONNX, Models, load_models
from mocliplite.store import table_file

LISTED = 8  # classes named in the card
GRAPHS = "`onnx/`, which also contains the motion network and the answer as graphs; no part needs torch"
PROMPTS_ROW = "| `prompts/` | embeddings of the class names by the text encoder ({templates} templates) |\n"

CARD = """# A MoCLIP-Lite recogniser for {count} classes

Classifies short videos as {classes}, from the motion vectors in the file and a frame embedded by a frozen encoder.

Install the package (`pip install ".[{extra}]"` in a checkout of the project), then run in this folder:

```console
$ mocliplite predict --model . clip.mp4
```

```python
from mocliplite.predict import Recognizer

recognizer = Recognizer.load(".")
print(recognizer("clip.mp4")[:3])
```

## Accuracy

The models were fitted on {train} clips. Their epochs, temperatures and mixing weights were chosen on {val} validation
clips. This table was computed once, on {clips} test clips; `predict` answers with the row `{answer}`.

```text
{table}
```

The intervals are 95 % intervals over groups of clips. ECE is the expected calibration error: the mean
distance between confidence and accuracy. Expect a lower accuracy on clips from other cameras or other places.

## Contents

| part | content |
|---|---|
| `motion/` | motion network `{arch}`, applied to fields of motion vectors |
| `probes/` | linear classifiers on the embeddings of both streams |
| `head/` | MLP heads on the embeddings of both streams ({seeds} seeds, averaged), mixing weights and temperatures |
{prompts}| encoder | {clip} |

Weights are stored as safetensors and settings as JSON; nothing is pickled.
"""


def export(
    folder: str | Path, with_clip: bool, models: str | Path = "models", onnx: bool = False, int8: bool = False
) -> None:
    """Write motion/, probes/, head/, prompts/ and README.md to folder.

    Also clip/, the checkpoint of the encoder, if with_clip, if it is a local folder, or if its weights load only with
    encoder.pickled_weights; with onnx, instead of it onnx/, the networks as ONNX graphs, and with int8 the encoder in
    int8. Without a text encoder there is no prompts/.

    Raises UserError for a folder that is not empty, where models, features or metrics are missing, and where the
    metrics are of other test clips than those of the head.
    """
    with new_folder(Path(folder)):
        _fill(Path(folder), with_clip, models, onnx, int8)


def _fill(out: Path, with_clip: bool, models: str | Path, onnx: bool, int8: bool) -> None:
    if int8 and not onnx:
        raise UserError("--int8 is for ONNX graphs; add --format onnx.")
    if onnx and with_clip:
        raise UserError("--format onnx writes the encoder as a graph; leave out --with-clip.")
    trained = load_models(models)
    config = trained.head_config
    prompts = table_file.read_table("features/prompts.h5", "prompts")
    checkpoint.check_source(
        Path(models, "head"), "features/prompts.h5", config["features"]["prompts"], prompts.settings
    )
    given = params.load()
    settings = given.encoder
    clip_folder = checkpoints.locate_same(
        config["features"]["keyframes"], settings.model, settings.revision, pickled=settings.pickled_weights
    )
    is_folder = Path(settings.model).is_dir()
    # An exported folder allows no pickled weights, and its copy of the encoder has none.
    copies_clip = not onnx and (with_clip or is_folder or checkpoints.needs_leave(settings.model, clip_folder))
    metrics = _metrics_of(Path(models, "head"), config)
    card = _card(metrics, config, trained.motion_config, prompts.arrays, settings, copies_clip, onnx)
    if onnx:
        from mocliplite.predict.onnx_card import graphs_section
        from mocliplite.predict.onnx_export import write_graphs

        # First, because it may refuse the models.
        graphs = write_graphs(out / ONNX, trained, Path(models), clip_folder, int8)
        card += graphs_section(trained, graphs)
    _save_models(out, trained, prompts)
    if copies_clip:
        checkpoints.copy_checkpoint(clip_folder, out / "clip")
    elif not onnx:
        write_json(out / CLIP_FILE, {"model": settings.model, "revision": settings.revision})
    base_model = None if is_folder else settings.model
    about = metadata(metrics, given.dataset.root, base_model)
    write_text(out / "README.md", hub.card(about, card))


def _metrics_of(head: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/eval.json. Raises UserError unless it is of the test clips of the head, which has this config."""
    metrics = read_metrics()
    table = read_split("features/pairs.h5", "test", ("ids", "label"))
    check_fitted_on(config, table, str(head))
    ids, labels, classes = (table.arrays[name] for name in ("ids", "label", "classes"))
    check_test_clips(metrics, ids.tolist(), labels, classes.tolist())
    return metrics


def _save_models(out: Path, trained: Models, prompts: table_file.Table) -> None:
    """Write motion/, probes/, head/ and, with a text encoder, prompts/."""
    checkpoint.save(out / "head", trained.head, trained.head_config)
    checkpoint.save(out / "probes", trained.probes, trained.probes_config)
    checkpoint.save(out / "motion", trained.motion, trained.motion_config)
    if "embedding" in prompts.arrays:
        arrays = {name: prompts.arrays[name] for name in ("embedding", "logit_scale")}
        texts = {name: prompts.arrays[name].tolist() for name in ("classes", "templates")}
        checkpoint.save(out / "prompts", arrays, texts)


def _card(
    metrics: dict[str, Any],
    config: dict[str, Any],
    net: dict[str, Any],
    prompts: Mapping[str, Any],
    settings: params.Encoder,
    copies_clip: bool,
    onnx: bool,
) -> str:
    data, classes = read_json("metrics/data.json"), config["classes"]
    revision = f", revision {settings.revision}" if settings.revision else ""
    downloaded = f"{settings.model}{revision}, downloaded once from the hub"
    clip = GRAPHS if onnx else "`clip/`" if copies_clip else downloaded
    return CARD.format(
        count=len(classes),
        classes=_listed(classes),
        train=data["splits"]["train"],
        val=data["splits"]["val"],
        clips=metrics["clips"],
        table=table(metrics),
        answer=metrics["answer"],
        arch=net["net"]["arch"],
        seeds=config["head"]["seeds"],
        prompts=PROMPTS_ROW.format(templates=len(prompts["templates"])) if "templates" in prompts else "",
        clip=clip,
        extra="predict" if onnx else "train",
    )


def _listed(classes: list[str]) -> str:
    """Return the names of the classes, shortened: "A, B or C", or "A, B and 3 other classes"."""
    if len(classes) > LISTED:
        return f"{', '.join(classes[:LISTED])} and {len(classes) - LISTED} other classes"
    return " or ".join(filter(None, [", ".join(classes[:-1]), classes[-1]]))
