"""A model exported by the command line, and its page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import chromium
from tests.support.edge import export_onnx, serve
from tests.support.page import Page


@pytest.fixture(scope="module")
def bundle(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's model for browsers; npm fetches their runtime on a machine's first run."""
    target = tmp_path_factory.mktemp("edge") / "bundle"
    done = export_onnx(model_dir, target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": agrees: ") == 2
    return target


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        driver.set_script_timeout(60)
        yield driver


@pytest.fixture(scope="module")
def address(bundle: Path) -> Iterator[str]:
    """The page's directory alone, as on any web server."""
    with serve(bundle / "web") as address:
        yield address


@pytest.fixture
def page(driver: webdriver.Chrome, address: str) -> Iterator[Page]:
    """The page, freshly loaded; whatever the browser complains about fails the test."""
    page = Page(driver, address)
    page.until_text("status", "Ready")
    yield page
    page.reset()
    assert page.complaints() == []
