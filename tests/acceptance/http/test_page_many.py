"""Several images at once on the page, and requests that the user cancels."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Worker, until
from tests.support.page import CHELSEA, Page, give
from tests.support.paths import IMAGES

COFFEE = IMAGES / "coffee.jpg"
AT_A_TIME = 4
REQUESTS = "classify_http_requests_total"
IN_FLIGHT = "classify_http_requests_in_flight"


class HeldImages:
    """Addresses on loopback whose images do not come before `release`."""

    def __init__(self) -> None:
        self.release = threading.Event()
        image = CHELSEA.path.read_bytes()
        held = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                held.release.wait()
                self.send_response(200)
                self.send_header("Content-Length", str(len(image)))
                self.end_headers()
                self.wfile.write(image)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    """The worker has withdrawn its request."""

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def urls(self, number: int) -> list[str]:
        return [f"http://127.0.0.1:{self.server.server_port}/{one}.png" for one in range(number)]


@pytest.fixture
def held() -> Iterator[HeldImages]:
    images = HeldImages()
    with images.server as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield images
        images.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "note.jpg"
    path.write_text("This is a text and no image.")
    return path


def test_several_files(page: Page, text_file: Path) -> None:
    page.choose(CHELSEA.path, text_file, COFFEE)
    page.until_text("status", "3 images: 2 answered, 1 failed.")

    assert page.states() == ["answered", "failed", "answered"]
    names = [row.find_element(By.CLASS_NAME, "file").text for row in page.rows()]
    assert names == [CHELSEA.path.name, "note.jpg", COFFEE.name]
    cat, note, coffee = page.said()
    assert cat.startswith(f"{CHELSEA.label} 38.9")
    assert cat.count("%") == 3
    assert "is not an image that the worker can read" in note
    assert coffee.startswith("espresso 95.")
    previews = page["answers"].find_elements(By.TAG_NAME, "img")
    assert [one.is_displayed() for one in previews] == [True, False, True]
    assert previews[0].get_property("naturalWidth") == 451
    # All about the first one, until another is wanted.
    assert page["shown"].text == CHELSEA.path.name
    row = page.rows()[2].find_element(By.TAG_NAME, "button")
    row.send_keys(Keys.ENTER)
    assert page["shown"].text == COFFEE.name
    assert page.categories()[0].startswith("espresso")
    assert (
        page.rows()[2].find_element(By.TAG_NAME, "button").get_attribute("aria-pressed") == "true"
    )


def test_classify_belongs_to_all_files(page: Page) -> None:
    page.choose(CHELSEA.path, COFFEE)
    page.until_text("status", "2 images: 2 answered.")
    page["top-k"].send_keys("2", Keys.ENTER)
    page.until(
        lambda: [said.count("%") for said in page.said()] == [2, 2], "two categories of each file"
    )


def test_few_are_asked_for_at_a_time(page: Page, service: Worker, held: HeldImages) -> None:
    give(page, "drop", "dataTransfer", text="\n".join(held.urls(AT_A_TIME + 2)))
    service.wait_for_value(IN_FLIGHT, lambda value: value == AT_A_TIME)

    assert page.states() == ["running"] * AT_A_TIME + ["waiting"] * 2
    assert page["spinner"].is_displayed()
    held.release.set()
    page.until_text("status", f"{AT_A_TIME + 2} images: {AT_A_TIME + 2} answered.")
    assert not page["spinner"].is_displayed()


def test_cancelling_withdraws_the_request(page: Page, service: Worker, held: HeldImages) -> None:
    before = service.value(REQUESTS, reason="disconnected")
    page["url"].send_keys(held.urls(1)[0], Keys.ENTER)
    service.wait_for_value(IN_FLIGHT, lambda value: value == 1)
    assert page["spinner"].is_displayed()
    assert page["answer-panel"].get_attribute("aria-busy") == "true"
    page["cancel"].send_keys(Keys.ENTER)

    service.wait_for_value(REQUESTS, lambda value: value == before + 1, reason="disconnected")
    page.until_text("status", "Cancelled")
    assert service.value(IN_FLIGHT) == 0
    assert not page["cancel"].is_displayed()
    assert page.focused() == "send"


def test_cancelling_several(page: Page, service: Worker, held: HeldImages) -> None:
    count = AT_A_TIME + 2
    give(page, "paste", "clipboardData", text="\n".join(held.urls(count)))
    service.wait_for_value(IN_FLIGHT, lambda value: value == AT_A_TIME)
    page["cancel"].click()

    page.until_text("status", f"{count} images: 0 answered, {count} cancelled.")
    assert page.states() == ["cancelled"] * count
    service.wait_for_value(IN_FLIGHT, lambda value: value == 0)


def test_other_images_take_the_place_of_those_under_way(
    page: Page, service: Worker, held: HeldImages
) -> None:
    give(page, "drop", "dataTransfer", text="\n".join(held.urls(2)))
    service.wait_for_value(IN_FLIGHT, lambda value: value == 2)
    page.choose(COFFEE)

    page.until_text("status", f"{COFFEE.name}, answered")
    service.wait_for_value(IN_FLIGHT, lambda value: value == 0)
    assert page.rows() == []


def test_trying_one_of_several_again(page: Page) -> None:
    page.be_offline(True)
    page.choose(CHELSEA.path, COFFEE)
    page.until_text("status", "2 images: 0 answered, 2 failed.")
    page.be_offline(False)
    page.rows()[1].find_element(By.CLASS_NAME, "again").click()

    until(lambda: page.states() == ["failed", "answered"], "the second image is answered")
    assert page["status"].text == "2 images: 1 answered, 1 failed."


def test_answers_to_other_images_are_gone(
    page: Page, service: Worker, text_file: Path, held: HeldImages
) -> None:
    page.choose(COFFEE)
    page.until_text("status", "answered")
    page.choose(text_file, text_file)
    page.until_text("status", "2 images: 0 answered, 2 failed.")
    assert not page["result"].is_displayed()
    assert not page["empty"].is_displayed()

    page.choose(COFFEE)
    page.until_text("status", "answered")
    page["url"].send_keys(held.urls(1)[0], Keys.ENTER)
    page.until_text("status", "Classifying")
    assert not page["result"].is_displayed()
    page["cancel"].click()
    service.wait_for_value(IN_FLIGHT, lambda value: value == 0)
