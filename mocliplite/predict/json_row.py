"""A prediction as JSON: for `predict --json` and `serve`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Prediction


def json_row(prediction: "Prediction", top: int) -> dict[str, Any]:
    """Return the clip, its `top` classes, the shares of the streams in the answer, and the milliseconds by phase."""
    return {
        "clip": prediction.path,
        **({} if prediction.threshold is None else {"threshold": prediction.threshold}),
        "classes": [{"class": name, "probability": round(p, 4)} for name, p in prediction.found(top)],
        "shares": {stream: round(share, 3) for stream, share in prediction.shares.items()},
        "milliseconds": {phase: round(value, 2) for phase, value in prediction.milliseconds.items()},
    }
