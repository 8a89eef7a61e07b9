"""The demo page in a real browser, with real uploads. `make demo-test` runs this in the environment of the demo."""

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import MagicMock

import av
import pytest
from browser import chromium, console_messages, requests
from imports import ROOT

CLIP = ROOT / "sample/data/clips/StarSpinning/v_StarSpinning_g01_c01.avi"
CORRECT = re.compile(r"StarSpinning, 9\d\.\d %\.")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of the page of the trained models, served by the command `demo`."""
    pytest.importorskip("gradio", reason="gradio is not installed; run `make demo-test`")
    if not (ROOT / "models/head").is_dir():
        pytest.skip("no trained models; run `make run` first")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mocliplite", "demo", "--port", str(port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("uploads"))}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            expected = f"Serving the page at http://127.0.0.1:{port}/; press Ctrl-C to stop.\n"
            assert server.stdout.readline() == expected
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


@pytest.fixture
def page(address):
    with chromium() as driver:
        driver.get(address)
        driver.implicitly_wait(30)
        yield driver


def upload(page, path):
    page.find_element("css selector", "input[type=file]").send_keys(str(path))


def wait_for(page, text):
    """Wait until the page contains a text; return all its text."""
    return until(page, lambda page: (body := page.find_element("tag name", "body").text) and text in body and body)


def until(page, found):
    """Wait until a function of the page returns something true; return it."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(page, 60).until(found)


def widths(page):
    return [image.get_property("naturalWidth") for image in page.find_elements("css selector", "img")]


def test_an_uploaded_clip_is_classified_with_contributions_and_two_pictures(page, address):
    upload(page, CLIP)
    text = wait_for(page, "Contributions to its logit: keyframe +")
    assert CORRECT.search(text)
    assert ", motion +" in text
    assert "RingSpinning" in text
    until(page, lambda page: widths(page) == [192, 320])
    assert [url for url in requests(page) if not url.startswith(address)] == []
    assert [message for message in console_messages(page) if "not implemented" not in message] == []


def test_a_long_video_has_a_timeline_under_its_player(page, tmp_path):
    clips = sorted(CLIP.parent.glob("*.avi"))[:7]
    joined = tmp_path / "long.avi"
    with av.open(str(joined), "w") as target:
        stream, number = None, 0
        for clip in clips:
            with av.open(str(clip)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream, packet.pts, packet.dts, number = stream, number, number, number + 1
                        target.mux(packet)
    upload(page, joined)
    wait_for(page, "Contributions to its logit")
    until(page, lambda page: widths(page) == [192, 320, 1200])
    assert page.find_element("css selector", "video").get_attribute("src")


def test_a_bad_file_is_an_error_and_the_next_clip_is_classified(page, tmp_path):
    (tmp_path / "<b>text.mp4").write_text("this is not a video")
    upload(page, tmp_path / "<b>text.mp4")
    text = wait_for(page, "cannot be decoded as video (Invalid data found when processing input)")
    assert "/" not in text.split("cannot be decoded")[0]
    page.find_element("css selector", "button[aria-label='Clear']").click()
    upload(page, CLIP)
    assert CORRECT.search(wait_for(page, "Contributions to its logit"))


def test_a_file_larger_than_the_limit_is_refused(page, tmp_path):
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(201 * 1024 * 1024)
    upload(page, tmp_path / "large.mp4")
    assert "cannot be decoded" not in wait_for(page, "maximum allowed size")


def test_the_server_itself_refuses_a_large_file(address):
    import httpx

    content = {"files": ("large.mp4", b"0" * (201 * 1024 * 1024))}
    response = httpx.post(f"{address}gradio_api/upload", files=content, timeout=60)
    assert response.status_code == 413


@pytest.fixture
def launched(monkeypatch):
    """Serves the page by a gradio that does nothing; returns the options of the page and of the server."""
    from mocliplite.cli import _demo
    from mocliplite.predict import Recognizer

    gradio = MagicMock()
    gradio.Blocks.return_value.__enter__.return_value.launch.return_value = (None, "http://127.0.0.1:7860/", None)
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    monkeypatch.setattr(Recognizer, "load", lambda model: None)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    _demo.serve("models", 7860)
    page = gradio.Blocks.return_value.__enter__.return_value
    assert page.block_thread.called
    return gradio.Blocks.call_args.kwargs, page.launch.call_args.kwargs


def test_the_page_is_served_to_this_machine_alone_and_sends_nothing_elsewhere(launched):
    page, server = launched
    assert (server["server_name"], server["server_port"], server["share"]) == ("127.0.0.1", 7860, False)
    assert page["analytics_enabled"] is False
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_an_upload_has_200_mb_at_most_and_is_deleted_after_an_hour(launched):
    page, server = launched
    assert server["max_file_size"] == "200mb"
    assert page["delete_cache"] == (3600, 3600)  # seconds between two looks, and the age that is deleted


def test_the_page_gets_a_sentence_probabilities_and_two_pictures_or_an_escaped_error(small_project, tmp_path):
    from mocliplite.cli import _demo
    from mocliplite.predict import Recognizer

    recognizer = Recognizer.load("models")
    sentence, probabilities, keyframe, vectors = _demo.classify(recognizer, "clips/Rolling/1.avi")
    name, probability = max(probabilities.items(), key=lambda item: item[1])
    assert sentence.startswith(
        f"<strong>{name}</strong>, {100 * probability:.1f} %. Contributions to its logit: keyframe "
    )
    assert set(probabilities) == {"Falling", "Resting", "Rolling"}
    assert (keyframe.shape, keyframe.dtype) == ((96, 144, 3), "uint8")
    assert vectors.shape[2] == 3
    bad = tmp_path / "<b>.mp4"
    bad.write_text("this is not a video")
    error, *rest = _demo.classify(recognizer, str(bad))
    assert error.startswith("&lt;b&gt;.mp4 cannot be decoded as video")
    assert rest == [None, None, None]
    assert _demo.classify(recognizer, None) == ("", None, None, None)


def test_controls_in_class_names_and_files_are_visible_on_the_page(small_project, tmp_path):
    from mocliplite.cli import _demo
    from mocliplite.predict import Recognizer

    name = "Ro\u202e\x1blling"
    recognizer = replace(Recognizer.load("models"), classes=["Falling", "Resting", name])
    sentence, probabilities, *_ = _demo.classify(recognizer, "clips/Rolling/1.avi")
    assert sentence.startswith(r"<strong>Ro\u202e\u001blling</strong>, ")
    assert set(probabilities) == {"Falling", "Resting", r"Ro\u202e\u001blling"}
    bad = tmp_path / "a\u202eb.mp4"
    bad.touch()
    assert _demo.classify(recognizer, str(bad))[0].startswith(r"a\u202eb.mp4 ")


def test_models_with_several_classes_per_clip_have_no_timeline():
    from mocliplite.cli import _demo

    assert _demo.timeline(SimpleNamespace(is_multi_label=True), "a.mp4") is None
