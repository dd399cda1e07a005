"""The page for people, used in headless Chromium as a person does."""

from __future__ import annotations

import base64
import http.server
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from demo.images import photographs
from tests.support.browser import chromium
from tests.support.harness import Worker, until
from tests.support.http_client import ask, classify
from tests.support.images import colour_png, job
from tests.support.networks import export_colours
from tests.support.workers import MakeService

CHELSEA = next(one for one in photographs() if one.name == "chelsea")
JPEG = b"\xff\xd8"


class Page:
    """The page in a browser; elements by their id."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        driver.get(address)

    def __getitem__(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def until_shown(self, name: str) -> WebElement:
        """The element `name`, once it can be seen and its text is there."""
        WebDriverWait(self.driver, 30, 0.05).until(lambda _: self[name].is_displayed())
        return self[name]

    def until_loaded(self, name: str) -> WebElement:
        """The picture `name`, once the browser has decoded it."""
        WebDriverWait(self.driver, 30, 0.05).until(lambda _: self[name].get_property("complete"))
        return self[name]

    def until_text(self, name: str, text: str) -> None:
        WebDriverWait(self.driver, 30, 0.05).until(lambda _: text in self[name].text)

    def until_positive(self, name: str) -> None:
        shows = re.compile(r"0*[1-9]|0*\.\d*[1-9]")
        WebDriverWait(self.driver, 30, 0.05).until(lambda _: shows.match(self[name].text))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> WebElement:
        """Press keys wherever the focus is; the element that then has it."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)
        return self.driver.switch_to.active_element

    def categories(self) -> list[str]:
        items = self["categories"].find_elements(By.TAG_NAME, "li")
        return [item.find_element(By.CLASS_NAME, "name").text for item in items]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome, service: Worker) -> Iterator[Page]:
    """The page, freshly loaded; whatever the browser complains about fails the test."""
    yield Page(driver, f"http://127.0.0.1:{service.port}/")
    complaints = [
        entry["message"]
        for entry in driver.get_log("browser")  # type: ignore[no-untyped-call]
        # A failure that the test asked for is one of the network, not of the page.
        if entry["source"] != "network"
    ]
    assert complaints == []


@pytest.fixture
def image_url(tmp_path: Path) -> Iterator[str]:
    """A photograph on loopback."""
    (tmp_path / "cat.png").write_bytes(CHELSEA.path.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cat.png"
        server.shutdown()


def test_choosing_a_file(page: Page) -> None:
    page["file"].send_keys(str(CHELSEA.path))
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
    assert page.press(Keys.TAB).get_attribute("id") == "send"
    assert page.press(Keys.TAB).get_attribute("id") == "top-k"
    page.press(Keys.BACKSPACE, "2")
    assert page.press(Keys.TAB).get_attribute("id") == "visualize"
    page.press(Keys.SPACE)
    page["url"].send_keys(Keys.ENTER)
    page.until_shown("result")

    assert len(page.categories()) == 2
    assert not page["figure"].is_displayed()


def test_raw_json(page: Page, tmp_path: Path) -> None:
    page["file"].send_keys(str(CHELSEA.path))
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
    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    page["file"].send_keys(str(CHELSEA.path))
    assert "does not answer" in page.until_shown("problem").text
    page.until_text("state", "does not answer")

    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline | {"offline": False})
    page["problem"].find_element(By.TAG_NAME, "button").click()
    page.until_shown("result")
    assert not page["problem"].is_displayed()
    page.until_text("state", "Ready")


def test_figures_of_the_worker(page: Page, service: Worker) -> None:
    page.until_text("state", "Ready")
    page.until_text("throughput", "0")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            classify(service.port, job(colour_png("#112233")))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for name in ("throughput", "http-median", "http-tail", "batch"):
            page.until_positive(name)
        page.until_text("stages", "classify")
    finally:
        stop.set()
        worker.join()
    assert "EfficientNet-Lite0 on cpu" in page["model"].text


def test_figures_are_those_of_the_exposition(page: Page) -> None:
    # A bucket of 1 s to 2 s that took in 10 between two looks, and one beyond the last bound.
    before = 'h_bucket{le="1"} 5\nh_bucket{le="2"} 5\nh_bucket{le="+Inf"} 5\n'
    after = (
        'h_bucket{le="1"} 5\nh_bucket{le="2"} 15\nh_bucket{le="+Inf"} 16\n'
        'c{a="x\\"y"} 2\nc{a="z"} 3\n'
    )
    script = """
        const [before, after] = arguments;
        return import("/live.js").then((live) => [
            live.quantile(0.5, live.parse(before), live.parse(after), "h"),
            live.quantile(1.0, live.parse(before), live.parse(after), "h"),
            live.quantile(0.5, live.parse(after), live.parse(after), "h"),
            live.total(live.parse(after), "c"),
            live.total(live.parse(after), "c", { a: 'x"y' }),
        ]);
    """

    assert page.run(script, before, after) == [1.55, 2, None, 5, 2]


def test_every_control_has_a_name(page: Page) -> None:
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"textbox", "spinbutton", "checkbox", "button", "link", "image"}
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]

    assert {role for role, _ in found} >= {"textbox", "spinbutton", "checkbox", "button", "link"}
    assert [role for role, name in found if not name] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page: Page, scheme: str) -> None:
    """WCAG 2 AA asks for a contrast of at least 4.5 between a text and what is behind it."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # no colour on its way to another
    ]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page["url"].send_keys("cat.png", Keys.ENTER)
    page.until_shown("problem")
    page["url"].clear()
    page["file"].send_keys(str(CHELSEA.path))
    page.until_shown("result")

    contrasts = page.run(CONTRASTS)

    assert len(contrasts) > 20
    assert [one for one in contrasts if one["ratio"] < 4.5] == []


def test_fits_a_narrow_screen(page: Page) -> None:
    """WCAG 2 AA asks that 320 pixels are enough without scrolling sideways."""
    screen = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page["file"].send_keys(str(CHELSEA.path))
    page.until_shown("raw").find_element(By.TAG_NAME, "summary").click()

    width = page.run("return document.documentElement.scrollWidth")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == 320


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "grow"), ("reduce", "none")])
def test_motion_as_wished(page: Page, motion: str, animation: str) -> None:
    feature = {"name": "prefers-reduced-motion", "value": motion}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page["file"].send_keys(str(CHELSEA.path))
    bar = page.until_shown("categories").find_element(By.TAG_NAME, "i")

    assert page.run("return getComputedStyle(arguments[0]).animationName", bar) == animation


def test_policy_lets_nothing_else_in(service: Worker) -> None:
    response = ask(service.port, "GET", "/")

    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert b"style=" not in response.body
    assert b"://" not in response.body.replace(b'placeholder="https://"', b"")


def give(page: Page, event: str, carrier: str, file: bytes = b"", text: str = "") -> None:
    """Drop or paste a file or a text: the events that a browser makes of a person's gesture."""
    script = """
        const [event, carrier, file, text] = arguments;
        const data = new DataTransfer();
        if (file) {
            const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], "cat.png", { type: "image/png" }));
        } else {
            data.setData("text/plain", text);
        }
        const kind = event === "paste" ? ClipboardEvent : DragEvent;
        document.body.dispatchEvent(
            new kind(event, { [carrier]: data, bubbles: true, cancelable: true }),
        );
    """
    page.run(script, event, carrier, base64.b64encode(file).decode(), text)


CONTRASTS = """
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
        const [r, g, b] = channels(colour).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (channels(colour)[3] !== 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.body.querySelectorAll("*")]
        .filter((one) => one.checkVisibility())
        .filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== ""))
        .map((one) => {
            const both = [getComputedStyle(one).color, background(one)].map(luminance)
                .sort((a, b) => a - b);
            return { text: one.textContent.trim(), ratio: (both[1] + 0.05) / (both[0] + 0.05) };
        });
"""
