"""The demo page in a real browser, with real uploads. `make demo-test` runs it, in the demo's own environment."""

import os
import re
import socket
import subprocess
import sys

import pytest
from browser import chromium, complaints, requests
from imports import ROOT

CLIP = ROOT / "sample/data/clips/StarSpinning/v_StarSpinning_g01_c01.avi"
RIGHT = re.compile(r"StarSpinning, 9\d\.\d %\.")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of the trained models, served by the command as a user starts it."""
    pytest.importorskip("gradio", reason="gradio is not installed: `make demo-test` has it")
    if not (ROOT / "models/head").is_dir():
        pytest.skip("no models yet: `make run` makes them")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mocliplite", "demo", "--port", str(port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("uploads"))}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline() == f"http://127.0.0.1:{port}/ shows the page until this is interrupted\n"
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
    """All text of the page, once this is in it."""
    return until(page, lambda page: (shown := page.find_element("tag name", "body").text) and text in shown and shown)


def until(page, found):
    """What the function finds on the page, once that is something."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(page, 60).until(found)


def widths(page):
    return [image.get_property("naturalWidth") for image in page.find_elements("css selector", "img")]


def test_an_uploaded_clip_gets_its_class_both_shares_and_both_pictures(page, address):
    upload(page, CLIP)
    shown = wait_for(page, "The streams add to its logit: keyframe +")
    assert RIGHT.search(shown)
    assert ", motion +" in shown
    assert "RingSpinning" in shown
    until(page, lambda page: widths(page) == [192, 320])
    assert [asked for asked in requests(page) if not asked.startswith(address)] == []
    assert [said for said in complaints(page) if "not implemented" not in said] == []


def test_a_bad_file_gets_its_sentence_and_the_next_clip_its_class(page, tmp_path):
    (tmp_path / "<b>text.mp4").write_text("this is not a video")
    upload(page, tmp_path / "<b>text.mp4")
    shown = wait_for(page, "cannot be decoded as video (Invalid data found when processing input)")
    assert "/" not in shown.split("cannot be decoded")[0]
    page.find_element("css selector", "button[aria-label='Clear']").click()
    upload(page, CLIP)
    assert RIGHT.search(wait_for(page, "The streams add to its logit"))


def test_a_file_larger_than_the_limit_is_refused(page, tmp_path):
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(201 * 1024 * 1024)
    upload(page, tmp_path / "large.mp4")
    assert "cannot be decoded" not in wait_for(page, "maximum allowed size")


def test_the_server_refuses_a_large_file_whoever_sends_it(address):
    import httpx

    content = {"files": ("large.mp4", b"0" * (201 * 1024 * 1024))}
    answer = httpx.post(f"{address}gradio_api/upload", files=content, timeout=60)
    assert answer.status_code == 413
