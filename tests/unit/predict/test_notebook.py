"""What notebooks show: a bounded picture, and a table in which nothing is markup but ours."""

from __future__ import annotations

import base64
import os
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from tests.support.make import Pixels, noise
from worker.contract.jobs import Category
from worker.errors import JobError, Reason
from worker.predict.results import ClassificationResult, FailedInput


def shown(
    *categories: Category, bgr: Pixels | None = None, input_path: str | None = "cat.jpg"
) -> ET.Element:
    image = np.full((300, 400, 3), (250, 100, 20), np.uint8) if bgr is None else bgr
    html = ClassificationResult(input_path, image, categories)._repr_html_()
    # Well-formed: what is not escaped would be markup, or no XML.
    return ET.fromstring(html)  # noqa: S314 - our own


def picture(element: ET.Element) -> Pixels:
    (image,) = element.iter("img")
    kind, _, data = image.attrib["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data, validate=True), np.uint8), 1)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def cells(element: ET.Element) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in element.iter("tr")]


def test_the_picture_and_the_categories() -> None:
    element = shown(Category(285, "Egyptian cat", 0.93123), Category(281, "tabby", 0.05))
    assert cells(element) == [["Egyptian cat", "0.93123", ""], ["tabby", "0.05000", ""]]
    small = picture(element)
    assert small.shape == (240, 320, 3)
    assert np.abs(small[5, 9].astype(int) - (0, 0, 255)).max() < 90  # the label's red box
    assert np.abs(small[-1, -1].astype(int) - (250, 100, 20)).max() < 10


def test_a_large_photograph_is_small_in_the_notebook() -> None:
    html = ClassificationResult("a.jpg", noise(4000, 3000), (Category(1, "a", 0.5),))._repr_html_()
    assert len(html) < 200_000


def test_labels_and_names_are_text_whatever_they_hold() -> None:
    hostile = '<script>alert("1")</script>&\'"'
    element = shown(Category(0, hostile, 1.0), input_path=f"{hostile}.jpg")
    assert cells(element) == [[hostile, "1.00000", ""]]
    (caption,) = element.iter("figcaption")
    assert caption.text == f"{hostile}.jpg"
    assert {each.tag for each in element.iter()}.isdisjoint({"script"})


def test_a_name_that_is_not_unicode_can_be_shown() -> None:
    element = shown(Category(0, "a", 1.0), input_path=os.fsdecode(b"k\xe4tzchen.jpg"))
    (caption,) = element.iter("figcaption")
    assert caption.text == "k?tzchen.jpg"


def test_many_categories_are_counted_and_none_is_said() -> None:
    many = [Category(number, f"class {number}", 0.001) for number in range(1000)]
    rows = cells(shown(*many))
    assert len(rows) == 11
    assert rows[-1] == ["and 990 more"]
    assert cells(shown()) == [["no class reaches its threshold"]]


def test_without_a_name_there_is_no_caption() -> None:
    assert not list(shown(Category(0, "a", 1.0), input_path=None).iter("figcaption"))


@pytest.mark.parametrize("input_path", ["<b>.jpg", None])
def test_a_failure_says_why(input_path: str | None) -> None:
    failed = FailedInput(input_path, JobError(Reason.NOT_FOUND, "there is no <such> file"))
    text = "".join(ET.fromstring(failed._repr_html_()).itertext())  # noqa: S314 - our own
    assert text == f"{input_path or 'image'}: there is no <such> file"


def test_a_result_holds_no_picture_but_the_image() -> None:
    result = ClassificationResult("a.jpg", noise(40, 30), (Category(1, "a", 0.5),))
    html = result._repr_html_()
    assert list(vars(result)) == ["output_name"]
    assert html == result._repr_html_()
