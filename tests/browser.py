"""A headless Chromium that reaches this machine alone, and what a page asked of the network and complained of."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def chromium(width=900, height=1200, dark=False):
    """A selenium driver of a window of this size, or a skip that says what is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no chromium with its chromedriver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    switches = ["headless=new", "disable-gpu", "no-first-run", f"window-size={width},{height}"]
    # A name that a page asks for is then an error in its console, on any machine.
    switches += ["host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    # Chromium refuses to be root's with its sandbox, as in a container.
    switches += ["no-sandbox"] * (os.geteuid() == 0) + ["blink-settings=preferredColorScheme=0"] * dark
    for switch in switches:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        # A window is never narrower than 500 pixels; what the page takes for its width can be.
        opened.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        yield opened
    finally:
        opened.quit()


def requests(driver):
    """The addresses that the page asked for since this was last called, data URIs left out."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [entry["params"]["request"]["url"] for entry in messages if entry["method"] == "Network.requestWillBeSent"]
    return [address for address in sent if not address.startswith("data:")]


def complaints(driver):
    """Errors and warnings of the console since this was last called."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
