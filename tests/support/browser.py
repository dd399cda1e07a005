"""Headless Chromium for the page's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

__all__ = ["chromium"]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It would ask the network for updates, suggestions and the like.
    "--disable-background-networking",
    "--disable-component-update",
    # It would try a public name by https first.
    "--disable-features=HttpsUpgrades",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # Names of machines like those of a real network, without asking any.
    "--host-resolver-rules=MAP gpu-box 127.0.0.1, MAP *.example.org 127.0.0.1",
    "--window-size=1200,1000",
)


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = _command("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Named, so that selenium looks for no download.
    driver = webdriver.Chrome(options, Service(_command("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def _command(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is missing; scripts/chromium.sh installs it"
    return found
