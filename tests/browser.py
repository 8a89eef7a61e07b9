"""A headless Chromium without network access, the URLs that a page requests, and the messages in its console."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def chromium():
    """Yield a selenium driver; skip the test if a browser is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no chromium with its chromedriver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    switches = ["headless=new", "disable-gpu", "no-first-run"]
    # Every host but 127.0.0.1 is unknown, so that a request to it is an error in the console on any machine.
    switches += ["host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    # Chromium cannot use its sandbox as root, for example in a container.
    switches += ["no-sandbox"] * (os.geteuid() == 0)
    for switch in switches:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        show_as(opened, 900)
        yield opened
    finally:
        opened.quit()


def show_as(driver, width, dark=False):
    """Show pages in this width, in light or dark colours."""
    # A window is at least 500 pixels wide; the width that the page gets can be smaller.
    size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def requests(driver):
    """Return the URLs that the page has requested since the last call, without data URIs."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [entry["params"]["request"]["url"] for entry in messages if entry["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith("data:")]


def console_messages(driver):
    """Return the errors and warnings in the console since the last call."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
