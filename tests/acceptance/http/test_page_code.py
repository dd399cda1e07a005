"""The JSON and the code that the page offers: whole, copied, and run as they are."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.harness import until
from tests.support.page import CHELSEA, Page

JPEG = b"\xff\xd8"


def test_raw_json(page: Page, tmp_path: Path) -> None:
    page.choose(CHELSEA.path)
    page.until_shown("raw").find_element(By.TAG_NAME, "summary").click()

    sent, got = (json.loads(page[name].text) for name in ("request", "response"))
    assert "inferenceParams" not in sent  # how many, the model says
    assert got["result"]["categories"][0]["id"] == CHELSEA.class_id
    assert got["result"]["image"].endswith("characters)")
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    page["download"].click()
    file = tmp_path / "response.json"
    until(file.exists, "the response is downloaded")
    assert base64.b64decode(json.loads(file.read_bytes())["result"]["image"])[:2] == JPEG


def copied(page: Page, kind: str) -> str:
    """The clipboard, once the page has copied there."""
    origin = page.run("return location.origin")
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    button = page.driver.find_element(By.CSS_SELECTOR, f"[data-copies={kind}]")
    button.click()
    page.until_text("copied", f"{button.text} copied")
    text: str = page.driver.execute_async_script(
        "const [done] = arguments; navigator.clipboard.readText().then(done)"
    )
    return text


def test_copying_json(page: Page) -> None:
    page.choose(CHELSEA.path)
    page.until_shown("copies")

    got = json.loads(copied(page, "json"))
    assert got["result"]["categories"][0]["id"] == CHELSEA.class_id
    assert base64.b64decode(got["result"]["image"])[:2] == JPEG


def test_copying_without_a_clipboard_of_its_own(page: Page) -> None:
    # As over plain http under another name than localhost.
    page.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.choose(CHELSEA.path)
    page.until_shown("copies").find_element(By.CSS_SELECTOR, "[data-copies=curl]").click()
    page.until_text("copied", "curl copied")
    page["url"].send_keys(Keys.CONTROL, "v")

    assert "image-classification?visualize=true" in str(page["url"].get_property("value"))


@pytest.mark.parametrize("name", ["cat.png", 'a cat\'s, the "2nd"; $HOME.png'])
def test_code_for_a_file(page: Page, tmp_path: Path, name: str) -> None:
    shutil.copy(CHELSEA.path, tmp_path / name)
    page["top-k"].send_keys("2")
    page["visualize"].click()
    page.choose(tmp_path / name)
    page.until_shown("copies")

    answer = json.loads(run(["/bin/sh", "-c", copied(page, "curl")], tmp_path))
    assert [one["id"] for one in answer["result"]["categories"]] == [CHELSEA.class_id, 285]
    assert "image" not in answer["result"]
    lines = run([sys.executable, "-c", copied(page, "python")], tmp_path).splitlines()
    assert lines[0] == f"0.38878 {CHELSEA.label}"
    assert len(lines) == 2


def test_code_for_an_address(page: Page, image_url: str, tmp_path: Path) -> None:
    page["url"].send_keys(f'{image_url}?it\'s="1"', Keys.ENTER)
    page.until_shown("copies")

    answer = json.loads(run(["/bin/sh", "-c", copied(page, "curl")], tmp_path))
    assert answer["result"]["categories"][0]["id"] == CHELSEA.class_id
    lines = run([sys.executable, "-c", copied(page, "python")], tmp_path).splitlines()
    assert lines[0] == f"0.38878 {CHELSEA.label}"
    assert len(lines) == 5


def run(command: list[str], directory: Path) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
