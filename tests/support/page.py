"""The worker's page in a browser, used as a person uses it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from selenium_axe_python.axe import Axe

from demo.images import photographs

__all__ = ["CHELSEA", "Page", "give"]

PATIENCE = 30.0
"""Seconds after which something that a page must show counts as never shown."""

TEXTS = """
    return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText);
"""

CHELSEA = next(one for one in photographs() if one.name == "chelsea")


class Page:
    """The page in a browser; elements by their id."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        driver.get(address)

    def __getitem__(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def until_shown(self, name: str) -> WebElement:
        """The element `name`, once it can be seen and its text is there."""
        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: self[name].is_displayed())
        return self[name]

    def until_loaded(self, name: str) -> WebElement:
        """The picture `name`, once the browser has decoded it."""
        WebDriverWait(self.driver, PATIENCE, 0.05).until(
            lambda _: self[name].get_property("complete")
        )
        return self[name]

    def until_text(self, name: str, text: str) -> None:
        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: text in self[name].text)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds; `what` says in the failure what never came to pass."""
        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: holds(), f"not shown: {what}")

    def until_positive(self, name: str) -> None:
        shows = re.compile(r"0*[1-9]|0*\.\d*[1-9]")
        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: shows.match(self[name].text))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> WebElement:
        """Press keys wherever the focus is; the element that then has it."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)
        return self.driver.switch_to.active_element

    def categories(self) -> list[str]:
        """The categories that are shown, as of one moment."""
        found: list[str] = self.run(TEXTS, "#categories .name")
        return found

    def choose(self, *paths: Path) -> None:
        """Choose files, as the browser's dialog does."""
        self["file"].send_keys("\n".join(map(str, paths)))

    def rows(self) -> list[WebElement]:
        """The rows of the list of answers."""
        return self["answers"].find_elements(By.TAG_NAME, "li")

    def states(self) -> list[str]:
        """What became of each image of the list, in its order, as of one moment."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('#answers li')].map((one) => one.dataset.state)"
        )
        return found

    def said(self) -> list[str]:
        """What the list says of each image, in its order, as of one moment."""
        found: list[str] = self.run(TEXTS, "#answers .says")
        return found

    def focused(self) -> str | None:
        """The id of the element that has the focus."""
        return self.driver.switch_to.active_element.get_attribute("id")

    def emulate(self, **features: str) -> None:
        """Have media features, as `prefers_color_scheme="dark"`."""
        named = [{"name": key.replace("_", "-"), "value": one} for key, one in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def be_phone(self, width: int) -> None:
        """Have a narrow screen that fingers touch."""
        screen = {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def found_by_axe(self) -> list[str]:
        """What axe, with all its rules, finds wrong on the page as it is shown now."""
        axe = Axe(self.driver)
        axe.inject()  # type: ignore[no-untyped-call]
        results = axe.run()
        assert len(results["passes"]) > 10
        return [
            f"{one['id']}: {[node['target'] for node in one['nodes']]}"
            for one in results["violations"]
        ]

    def be_offline(self, offline: bool) -> None:
        """Cut the browser off from the network, or give it back."""
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {"offline": offline, **conditions}
        )

    def reset(self) -> None:
        """Undo what was emulated."""
        self.emulate()
        self.be_offline(False)
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})

    def complaints(self) -> Sequence[str]:
        """What the browser complained about since it was asked last."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            # A failure that the test asked for is one of the network, not of the page.
            if entry["source"] != "network"
        ]


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
