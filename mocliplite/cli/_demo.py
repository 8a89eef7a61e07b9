"""A local page on which one drops a clip and sees what the recogniser makes of it. Only here is gradio imported."""

import os
from html import escape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.report import overlay
from mocliplite.runtime import crash_safe
from mocliplite.video import keyframes

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Recognizer


LARGEST = "200mb"  # of an upload
KEPT = 3600  # seconds that an uploaded clip stays on disk, at most until the page is ended
TOP = 5  # classes shown
WORDS = """Drop a short video. It does not leave this machine.

The keyframe is what CLIP sees; the motion vectors, here of one frame, are what the codec left in the file.
"""


def serve(model: str, port: int) -> None:
    """Show the page of the models in a folder at 127.0.0.1 until interrupted. Raises UserError where gradio lacks."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError:
        raise UserError(
            "the demo needs gradio; run `make demo` in a checkout of the project, or `pip install gradio`."
        ) from None
    from mocliplite.predict.recognizer import Recognizer

    page = _page(gradio, Recognizer.load(model))
    # Fonts of the system: gradio's own come from a server.
    plain = gradio.themes.Default(font="system-ui", font_mono="monospace")
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1",
            server_port=port,
            max_file_size=LARGEST,
            theme=plain,
            footer_links=[],
            run_history=False,
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError:
        raise UserError(f"port {port} is taken; give another --port.") from None
    print(f"{address} shows the page until this is interrupted", flush=True)
    page.block_thread()


def _page(gradio: ModuleType, recognizer: "Recognizer") -> Any:
    with gradio.Blocks(title="MoCLIP-Lite", analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gradio.Markdown(f"# What happens in this clip?\n\n{WORDS}")
        clip = gradio.File(label="clip", height=160)
        said = gradio.HTML(padding=False)
        probabilities = gradio.Label(label="probabilities", num_top_classes=TOP, show_heading=False)
        shown = []
        with gradio.Row():
            for name in ("keyframe", "motion vectors"):
                with gradio.Column():
                    gradio.Markdown(name)
                    # gradio's button to share a picture would send it away.
                    look = {"show_label": False, "interactive": False, "buttons": ["fullscreen"], "height": 300}
                    shown.append(gradio.Image(label=name, **look))
        clip.change(lambda path: recognise(recognizer, path), clip, [said, probabilities, *shown])
    return page


def recognise(recognizer: "Recognizer", path: str | None) -> tuple[str, dict[str, float] | None, Any, Any]:
    """What the page shows of a clip: a sentence as HTML, the probability of each class, and its two pictures."""
    if path is None:
        return "", None, None, None
    used = recognizer.provenance["keyframes"]
    try:
        (answer,) = recognizer.answers([path])
        if isinstance(answer, UserError):
            raise answer
        seen = crash_safe.crash_safe(pictures, recognizer.compute)(path, used["frames"], used["pick"])
        if isinstance(seen, Failure):
            raise UserError(seen.reason)
    except UserError as error:
        return escape(str(error).replace(path, Path(path).name)), None, None, None
    name, probability = answer.classes[0]
    shares = ", ".join(f"{stream} {share:+.2f}" for stream, share in answer.shares.items())
    sentence = f"<strong>{escape(name)}</strong>, {100 * probability:.1f} %. The streams add to its logit: {shares}."
    return sentence, dict(answer.classes), *seen


def pictures(path: str, frames: int, pick: str) -> tuple[np.ndarray, np.ndarray]:
    """The clip's first keyframe, and its vectors drawn over a frame: uint8 [height, width, 3], RGB."""
    return keyframes.read_keyframes(path, frames, pick)[0].image, overlay.overlay(path)
