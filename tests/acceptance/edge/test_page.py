"""A bundle's page classifies in the browser, as `predict` does, and its server computes nothing."""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium_axe_python.axe import Axe

from demo.images import photographs
from tests.support.edge import classify, export_onnx
from tests.support.page import CHELSEA, Page, give
from tests.support.small_model import SPEC
from worker.edge.description import describe
from worker.images.transform import Transform
from worker.model import CenterCrop, Interpolation, ModelSpec, Resize
from worker.model.transforms import ResizeBackend

FILTERS: list[tuple[ResizeBackend, Interpolation]] = [
    ("cv2", "nearest"),
    ("cv2", "bilinear"),
    ("pil", "nearest"),
    ("pil", "bilinear"),
    ("pil", "bicubic"),
    ("pil", "box"),
    ("pil", "hamming"),
    ("pil", "lanczos"),
]
SCALED = [
    ((90, 61), 40, None, CenterCrop(32, 30)),
    ((31, 44), None, (50, 60), CenterCrop(50, 60)),
    ((64, 64), None, (32, 32), CenterCrop(31, 20)),
    ((40, 40), 40, None, CenterCrop(32, 32)),
]
"""`(width, height)`, `short` and `size` of the resize, and the crop."""

PREPARE = """
    const [pixels, width, height, model, done] = arguments;
    import("./transform.js").then(({ prepare }) => {
        const rgba = Uint8ClampedArray.from(atob(pixels), (letter) => letter.charCodeAt(0));
        done([...prepare(rgba, width, height, model)]);
    }).catch((error) => done(`${error}`));
"""
"""What the page's own module makes of pixels."""


def names(page: Page) -> list[str]:
    found: list[str] = page.run(
        "return [...document.querySelectorAll('#categories .name')].map((one) => one.innerText)"
    )
    return found


def best(page: Page, image: Path) -> str:
    """The best category of an image."""
    page.run("document.getElementById('categories').replaceChildren()")
    page.choose(image)
    page.until(lambda: bool(names(page)), f"an answer for {image}")
    return names(page)[0]


def test_what_was_exported_is_not_overwritten(bundle: Path, model_dir: Path) -> None:
    again = export_onnx(model_dir, bundle)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.splitlines()[-1] == (
        f"classify-worker: {bundle} is there already: name a directory that is not, or is empty"
    )


def test_photographs_get_the_best_class_of_predict(page: Page, spec: ModelSpec) -> None:
    """Each photograph's class is the model's own best one, in JPEG and PNG, grey ones too."""
    found = {one.name: best(page, one.path) for one in photographs()}
    assert found == {one.name: spec.label(one.class_id) for one in photographs()}
    assert len(names(page)) == spec.top_k == 5
    page.until_positive("time")


def test_the_program_of_the_bundle_answers_as_the_page_does(bundle: Path, spec: ModelSpec) -> None:
    known = photographs()
    done = classify(bundle, "--json", *(each.path for each in known))
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line)["categories"] for line in done.stdout.splitlines()]
    assert [categories[0]["id"] for categories in found] == [each.class_id for each in known]
    assert {len(categories) for categories in found} == {spec.top_k}


def test_this_browser_agrees_with_the_exporter(page: Page) -> None:
    page.until(page["check"].is_enabled, "a button that can be pressed")
    page["check"].click()
    page.until_text("checked", "This browser agrees")


def test_an_image_can_be_dropped_pasted_or_a_sample(page: Page, spec: ModelSpec) -> None:
    cat = spec.label(CHELSEA.class_id)
    for event, carrier in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.run("document.getElementById('categories').replaceChildren()")
        give(page, event, carrier, CHELSEA.path.read_bytes())
        page.until(lambda: names(page)[:1] == [cat], cat)
    page.until(lambda: len(page.driver.find_elements(By.CSS_SELECTOR, "#samples img")) == 2, "two")
    coffee = page.driver.find_element(By.CSS_SELECTOR, "#samples img[alt='A cup of coffee']")
    coffee.find_element(By.XPATH, "..").click()
    page.until(lambda: names(page)[:1] == ["espresso"], "espresso")


def test_what_is_no_image_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no image")
    page.choose(tmp_path / "note.png")
    page.until_text("problem", "This is no image that your browser can read")
    best(page, CHELSEA.path)
    assert not page["problem"].is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_for_everybody(page: Page, scheme: str) -> None:
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    for width in (None, 375):
        if width is not None:
            page.be_phone(width)
        best(page, CHELSEA.path)
        axe = Axe(page.driver)
        axe.inject()  # type: ignore[no-untyped-call]
        results = axe.run()
        assert len(results["passes"]) > 10
        assert [(one["id"], one["nodes"]) for one in results["violations"]] == []
        assert page.run(
            "const { scrollWidth, clientWidth } = document.documentElement;"
            "return scrollWidth === clientWidth"
        )


def test_pixels_are_scaled_in_the_browser_as_in_the_worker(page: Page) -> None:
    for (backend, name), ((width, height), short, size, crop) in itertools.product(FILTERS, SCALED):
        resize = Resize(short, size, name, backend)
        rgb = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
        rgba = np.dstack([rgb, np.full((height, width), 255, np.uint8)])
        told = describe(replace(SPEC, resize=resize, crop=crop), 3, None)
        told["scale"] = 1
        found: Any = page.driver.execute_async_script(
            PREPARE, base64.b64encode(rgba.tobytes()).decode(), width, height, told
        )
        expected = Transform(resize, crop)(np.ascontiguousarray(rgb[:, :, ::-1]))
        planes = np.array(found).reshape(3, crop.height, crop.width)
        np.testing.assert_array_equal(planes.transpose(1, 2, 0), expected, err_msg=f"{resize}")
