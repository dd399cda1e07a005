"""The page and the API documentation for everybody: keyboard, contrast, narrow screens, axe."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.page import CHELSEA, Page
from tests.support.paths import IMAGES

SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
SCREENS = pytest.mark.parametrize("width", [None, 320], ids=["desktop", "phone"])


def look_at(page: Page, scheme: str, width: int | None) -> None:
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    if width is not None:
        page.be_phone(width)


@SCHEMES
@SCREENS
def test_axe_finds_nothing(page: Page, tmp_path: Path, scheme: str, width: int | None) -> None:
    look_at(page, scheme, width)
    page.until_text("state", "Ready")
    assert page.found_by_axe() == []
    page["url"].send_keys("http://10.0.0.1/cat.png", Keys.ENTER)
    page.until_shown("problem")
    assert page.found_by_axe() == []
    page["top-k"].send_keys("1000")
    page.choose(CHELSEA.path)
    page.until_shown("raw").find_element(By.TAG_NAME, "summary").click()
    assert page.found_by_axe() == []
    (tmp_path / "note.jpg").write_text("This is a text and no image.")
    page.choose(CHELSEA.path, tmp_path / "note.jpg", IMAGES / "coffee.jpg")
    page.until_text("status", "2 answered, 1 failed.")
    assert page.found_by_axe() == []
    page.be_offline(True)
    page.until_text("state", "does not answer")
    assert page.found_by_axe() == []


@SCHEMES
@SCREENS
def test_axe_finds_nothing_in_the_documentation(page: Page, scheme: str, width: int | None) -> None:
    look_at(page, scheme, width)
    page.driver.get(page.driver.current_url + "docs")
    page.until_shown("schemas")

    assert page.found_by_axe() == []
    assert page.run(
        "const { scrollWidth, clientWidth } = document.documentElement;"
        "return scrollWidth === clientWidth"
    )


@SCHEMES
def test_bars_stand_out(page: Page, scheme: str) -> None:
    """WCAG 2 AA asks for a contrast of at least 3 between a graphic and what is behind it."""
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.choose(CHELSEA.path)
    page.until_text("stages", "classify")

    contrasts = page.run(LUMINANCE + BAR_CONTRASTS)

    assert len(contrasts) >= 2 * (5 + 3)
    assert [one for one in contrasts if one < 3] == []


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
    # No colour on its way to another.
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page["url"].send_keys("cat.png", Keys.ENTER)
    page.until_shown("problem")
    page["url"].clear()
    page.choose(CHELSEA.path)
    page.until_shown("result")

    contrasts = page.run(LUMINANCE + TEXT_CONTRASTS)

    assert len(contrasts) > 20
    assert [one for one in contrasts if one["ratio"] < 4.5] == []


def test_fits_a_narrow_screen(page: Page) -> None:
    """WCAG 2 AA asks that 320 pixels are enough without scrolling sideways."""
    page.be_phone(320)
    page.choose(CHELSEA.path)
    page.until_shown("raw").find_element(By.TAG_NAME, "summary").click()

    assert page.run("return document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "grow"), ("reduce", "none")])
def test_motion_as_wished(page: Page, motion: str, animation: str) -> None:
    page.emulate(prefers_reduced_motion=motion)
    page.choose(CHELSEA.path)
    bar = page.until_shown("categories").find_element(By.TAG_NAME, "i")

    assert page.run("return getComputedStyle(arguments[0]).animationName", bar) == animation


LUMINANCE = """
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
    const ratio = (...colours) => {
        const [low, high] = colours.map(luminance).sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
"""

TEXT_CONTRASTS = """
    return [...document.body.querySelectorAll("*")]
        .filter((one) => one.checkVisibility())
        .filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== ""))
        .map((one) => {
            const colour = getComputedStyle(one).color;
            return { text: one.textContent.trim(), ratio: ratio(colour, background(one)) };
        });
"""

BAR_CONTRASTS = """
    return [...document.querySelectorAll(".bar i, .stages-bar i")]
        .flatMap((fill) => [fill.parentElement, fill.parentElement.parentElement]
            .map((behind) => ratio(background(fill), background(behind))));
"""
