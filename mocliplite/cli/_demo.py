"""A local web page that classifies uploaded clips. The only module that imports gradio."""

import os
from html import escape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite.errors import UserError, visible
from mocliplite.report import overlay
from mocliplite.runtime.crash_safe import call_crash_safe
from mocliplite.video import keyframes
from mocliplite.video.streams import Limits

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Recognizer


MAX_UPLOAD = "200mb"
RETENTION = 3600  # seconds that an uploaded clip stays on disk; the end of the server removes it too
TOP = 5  # classes shown
WINDOW, LONG = 2.0, 10.0  # seconds of a window, and of a video above which its timeline is shown
INTRODUCTION = """# What happens in this clip?

Drop a short video here. It does not leave this machine.

The recogniser uses the keyframe and the motion vectors of all frames. The vectors of one frame are shown below.
"""


def serve(model: str, port: int) -> None:
    """Serve the page for the models of a folder at 127.0.0.1 until interrupted.

    Raises UserError where gradio is not installed or the port is in use.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError:
        raise UserError(
            "the demo needs gradio, which is not installed; run `make demo` in a checkout, or `pip install gradio`."
        ) from None
    from mocliplite.predict.recognizer import Recognizer

    page = _page(gradio, Recognizer.load(model))
    # System fonts: gradio's default fonts come from a server.
    theme = gradio.themes.Default(font="system-ui", font_mono="monospace")
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1",
            server_port=port,
            max_file_size=MAX_UPLOAD,
            theme=theme,
            footer_links=[],
            run_history=False,
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError:
        raise UserError(f"port {port} is in use; give another --port.") from None
    print(f"Serving the page at {address}; press Ctrl-C to stop.", flush=True)
    page.block_thread()


def _page(gradio: ModuleType, recognizer: "Recognizer") -> Any:
    with gradio.Blocks(title="MoCLIP-Lite", analytics_enabled=False, delete_cache=(RETENTION, RETENTION)) as page:
        gradio.Markdown(INTRODUCTION)
        clip = gradio.File(label="clip", height=160)
        sentence = gradio.HTML(padding=False)
        probabilities = gradio.Label(label="probabilities", num_top_classes=TOP, show_heading=False)
        images = []
        with gradio.Row():
            for name in ("keyframe", "motion vectors"):
                with gradio.Column():
                    gradio.Markdown(name)
                    # No share button: it would upload the picture.
                    options = {"show_label": False, "interactive": False, "buttons": ["fullscreen"], "height": 300}
                    images.append(gradio.Image(label=name, **options))
        answer = clip.change(lambda path: classify(recognizer, path), clip, [sentence, probabilities, *images])
        player = gradio.Video(label="video", visible=False, buttons=[])
        segments = gradio.Image(label="timeline", visible=False, buttons=["fullscreen"])

        def show_timeline(path: str | None) -> tuple[Any, Any]:
            picture = timeline(recognizer, path)
            shown = picture is not None
            return gradio.Video(path if shown else None, visible=shown), gradio.Image(picture, visible=shown)

        answer.then(show_timeline, clip, [player, segments])
    return page


def classify(recognizer: "Recognizer", path: str | None) -> tuple[str, dict[str, float] | None, Any, Any]:
    """Return what the page shows: a sentence as HTML, the probability of each class, keyframe and motion vectors."""
    if path is None:
        return "", None, None, None
    settings = recognizer.provenance["keyframes"]
    try:
        (prediction,) = recognizer.predict([path])
        if isinstance(prediction, UserError):
            raise prediction
        limits = Limits.of(recognizer.compute)
        images = call_crash_safe(draw, recognizer.compute, path, settings["frames"], settings["pick"], limits)
    except UserError as error:
        return visible(escape(str(error).replace(path, Path(path).name))), None, None, None
    names = [f"<strong>{escape(name)}</strong>, {100 * p:.1f} %" for name, p in prediction.found(1)]
    shares = ", ".join(f"{stream} {share:+.2f}" for stream, share in prediction.shares.items())
    logit = "its logit" if len(names) == 1 else f"the logit of {escape(prediction.classes[0][0])}"
    sentence = f"{'; '.join(names) or 'No class is probable enough'}. Contributions to {logit}: {shares}."
    return visible(sentence), {visible(name): p for name, p in prediction.classes}, *images


def timeline(recognizer: "Recognizer", path: str | None) -> np.ndarray | None:
    """Return the picture of the segments of a video, RGB uint8 [H, W, 3]; None if there are none or it is short."""
    from mocliplite.predict import timeline as timelines
    from mocliplite.report import timeline_chart

    if path is None:
        return None
    cost = timelines.Cost()
    try:
        settings = timelines.window_settings(recognizer, WINDOW, WINDOW / 4, motion_only=False)
        steps = timelines.classify_file(recognizer, path, settings, cost)
        segments = list(timelines.segments(steps, recognizer.classes, 0.0))
    except UserError:  # a bad video, which the page shows already, or models with several classes per clip
        return None
    return timeline_chart.picture(segments, cost.end) if cost.end > LONG else None


def draw(path: str, frames: int, pick: str, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """Return the first keyframe, and a frame with its motion vectors: RGB uint8 [height, width, 3] each."""
    return keyframes.read_keyframes(path, frames, pick, limits)[0].image, overlay.overlay(path, limits)
