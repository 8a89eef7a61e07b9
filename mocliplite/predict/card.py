"""The metadata of an exported recogniser's card, by which the Hugging Face hub lists and finds it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Identifiers of the hub, and names, of the figures in metrics/eval.json.
_FIGURES = {
    "top1": ("accuracy", "top-1 accuracy"),
    "top5": ("accuracy", "top-5 accuracy"),
    "macro_f1": ("f1", "macro F1"),
    "map": ("mean_average_precision", "mean average precision"),
}
_TASK = "video-classification"


def metadata(metrics: Mapping[str, Any], root: str, base_model: str | None) -> dict[str, object]:
    """Return the metadata as the hub defines it.

    metrics: those of metrics/eval.json; root: the folder of the clips; base_model: hub id of the encoder, None for a
    local one. The licence of the weights is for their owner to choose.
    """
    answer, data = metrics["answer"], Path(root).name or "clips"
    figures = [
        {"type": kind, "name": f"{name} of {answer}", "value": metrics[key][answer]["mean"]}
        for key, (kind, name) in _FIGURES.items()
        if answer in metrics.get(key, {})
    ]
    result = {
        "task": {"type": _TASK},
        "dataset": {"type": data, "name": data, "split": "test"},
        "metrics": figures,
    }
    return {
        "license": "unknown",
        "library_name": "mocliplite",
        "pipeline_tag": _TASK,
        "tags": ["action-recognition", "motion-vectors"],
        **({"base_model": base_model} if base_model else {}),
        "metrics": sorted({figure["type"] for figure in figures}),
        "model-index": [{"name": f"MoCLIP-Lite on {data}", "results": [result]}],
    }
