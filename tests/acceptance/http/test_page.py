"""The page for people, used in headless Chromium as a person does: one image at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Worker
from tests.support.http_client import ask
from tests.support.images import colour_png
from tests.support.networks import export_colours
from tests.support.page import CHELSEA, Page, give
from tests.support.workers import MakeService


def test_choosing_a_file(page: Page) -> None:
    page.choose(CHELSEA.path)
    page.until_shown("result")

    first = page["categories"].find_element(By.TAG_NAME, "li")
    assert len(page.categories()) == 5
    assert page.categories()[0].startswith(CHELSEA.label)
    width = page.run("return arguments[0].style.width", first.find_element(By.TAG_NAME, "i"))
    # The text as it is: what the driver calls an element's text has plain spaces.
    score = first.find_element(By.CLASS_NAME, "score").get_property("textContent")
    assert score == f"{float(width[:-1]):.1f}\u00a0%"
    assert page.until_loaded("picture").get_property("naturalWidth") == 451
    assert CHELSEA.label in str(page["picture"].get_attribute("alt"))
    assert CHELSEA.label in page["status"].text


def test_an_answer_without_a_category(
    driver: webdriver.Chrome, make_service: MakeService, tmp_path: Path
) -> None:
    rule = {"MultiLabelThreshOutput": {"label_list": ["red", "green", "blue"]}}
    model = export_colours(tmp_path / "model", "sigmoid", **rule)
    service = make_service(WORKER_MODEL=str(model))
    service.wait_until_ready()
    page = Page(driver, f"http://127.0.0.1:{service.port}/")
    (tmp_path / "black.png").write_bytes(colour_png("#000000"))
    page["file"].send_keys(str(tmp_path / "black.png"))
    page.until_shown("result")

    assert page.categories() == []
    assert page["status"].text.startswith("No label fits: black.png")
    assert page["picture"].get_attribute("alt") == "Your image"
    assert page.until_loaded("picture").get_property("naturalWidth") == 64


def test_dropping_a_file(page: Page) -> None:
    give(page, "drop", "dataTransfer", file=CHELSEA.path.read_bytes())
    page.until_shown("result")

    assert page.categories()[0].startswith(CHELSEA.label)


def test_pasting_a_file(page: Page) -> None:
    give(page, "paste", "clipboardData", file=CHELSEA.path.read_bytes())
    page.until_shown("result")

    assert page.categories()[0].startswith(CHELSEA.label)


@pytest.mark.parametrize(
    ("event", "carrier"), [("paste", "clipboardData"), ("drop", "dataTransfer")]
)
def test_giving_an_address(page: Page, image_url: str, event: str, carrier: str) -> None:
    give(page, event, carrier, text=image_url)
    page.until_shown("result")

    assert page["url"].get_property("value") == image_url


def test_address_and_options_by_keyboard_alone(page: Page, image_url: str) -> None:
    page["url"].send_keys(image_url)
    assert page.press(Keys.TAB).get_attribute("id") == "top-k"
    page.press(Keys.BACKSPACE, "2")
    assert page.press(Keys.TAB).get_attribute("id") == "visualize"
    page.press(Keys.SPACE)
    assert page.press(Keys.TAB).get_attribute("id") == "send"
    page.press(Keys.ENTER)
    page.until_shown("result")

    assert len(page.categories()) == 2
    assert not page["figure"].is_displayed()


@pytest.mark.parametrize(
    ("address", "title", "says"),
    [
        ("cat.png", "An address is needed", "http://"),
        ("http://127.0.0.1:1/cat.png", "The address cannot be reached", "Connection refused."),
        ("http://10.0.0.1/cat.png", "The worker does not allow this", "10.0.0.1"),
    ],
)
def test_problems_in_words(page: Page, address: str, title: str, says: str) -> None:
    page["url"].send_keys(address, Keys.ENTER)
    problem = page.until_shown("problem")

    assert problem.get_attribute("role") == "alert"
    assert problem.find_element(By.TAG_NAME, "strong").text == title
    assert says in problem.text
    assert not page["result"].is_displayed()


def test_file_that_is_no_image(page: Page, tmp_path: Path) -> None:
    text = tmp_path / "cat.jpg"
    text.write_text("This is a text and no image.")
    page["file"].send_keys(str(text))

    assert "JPEG, PNG" in page.until_shown("problem").text


def test_worker_that_is_gone_and_comes_back(page: Page) -> None:
    page.be_offline(True)
    page.choose(CHELSEA.path)
    assert "does not answer" in page.until_shown("problem").text
    page.until_text("state", "does not answer")

    page.be_offline(False)
    page["problem"].find_element(By.TAG_NAME, "button").click()
    page.until_shown("result")
    assert not page["problem"].is_displayed()
    page.until_text("state", "Ready")


def test_classify_belongs_to_the_file(page: Page) -> None:
    page.choose(CHELSEA.path)
    page.until_text("status", "answered")
    page["top-k"].send_keys("3", Keys.ENTER)

    page.until(lambda: len(page.categories()) == 3, "three categories of the same file")
    assert not page["problem"].is_displayed()
    assert CHELSEA.path.name in page["status"].text


def test_a_wrong_field_leaves_the_answer(page: Page) -> None:
    page.choose(CHELSEA.path)
    page.until_text("status", "answered")
    page["url"].send_keys("cat.png", Keys.ENTER)
    assert "An address is needed" in page.until_shown("problem").text
    page["url"].clear()
    page["top-k"].send_keys("0", Keys.ENTER)
    page.until_text("problem", "whole number")

    assert page.focused() == "top-k"
    assert page["result"].is_displayed()
    assert page.categories()[0].startswith(CHELSEA.label)


def test_nothing_was_given(page: Page) -> None:
    page["send"].click()

    assert page.until_shown("problem").text.startswith("An image is needed")


def test_whole_drop_zone_is_a_button(page: Page) -> None:
    # The browser's own dialog would wait for a person.
    page.run("""
        window.opened = [];
        for (const id of ["file", "camera"]) {
            document.getElementById(id).addEventListener("click", (event) => {
                event.preventDefault();
                window.opened.push(id);
            });
        }
    """)
    drop = page["drop"]
    assert drop.tag_name == "button"
    corner = (3 - drop.size["width"] // 2, 3 - drop.size["height"] // 2)
    ActionChains(page.driver).move_to_element_with_offset(drop, *corner).click().perform()
    drop.send_keys(Keys.ENTER)
    drop.send_keys(Keys.SPACE)
    assert page.run("return window.opened") == ["file", "file", "file"]
    assert not page["take-photo"].is_displayed()

    page.be_phone(390)
    page.until_shown("take-photo").click()
    assert page.run("return window.opened.at(-1)") == "camera"
    assert page["camera"].get_attribute("capture") == "environment"


def test_preview(page: Page, image_url: str) -> None:
    page.choose(CHELSEA.path)

    assert page.until_loaded("preview").get_property("naturalWidth") == 451
    assert page["chosen"].text == CHELSEA.path.name
    page["url"].send_keys(image_url, Keys.ENTER)
    page.until_text("status", f"{image_url}, answered")
    assert not page["preview"].is_displayed()


@pytest.mark.parametrize(
    ("name", "label"), [("cat", "cat"), ("coffee", "espresso"), ("rocket", "missile")]
)
def test_samples(page: Page, name: str, label: str) -> None:
    page.driver.find_element(By.CSS_SELECTOR, f"[data-sample$='{name}.jpg']").click()
    page.until_shown("result")

    assert label in page.categories()[0]


def test_many_categories(page: Page) -> None:
    page["top-k"].send_keys("1000")
    page.choose(CHELSEA.path)
    button = page.until_shown("show-all")
    assert button.text == "Show all 1,000 categories"
    assert len(page.categories()) == 20

    button.send_keys(Keys.ENTER)
    items = page["categories"].find_elements(By.TAG_NAME, "li")
    assert len(items) == 1000
    assert page.driver.switch_to.active_element == items[20]
    assert not page["show-all"].is_displayed()


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_policy_lets_nothing_else_in(service: Worker, path: str) -> None:
    response = ask(service.port, "GET", path)

    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert b"style=" not in response.body
    assert b"://" not in response.body.replace(b'placeholder="https://"', b"")
