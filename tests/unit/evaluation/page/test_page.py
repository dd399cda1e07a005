"""The page as a browser and its reader see it, with names that try to break out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import numpy as np

from tests.support.evaluation import Found, PlayedClassifier, dataset_of, scores_of
from worker.errors import JobError, Reason
from worker.evaluation.page.page import page
from worker.evaluation.report import Report
from worker.evaluation.run import evaluate
from worker.evaluation.selection import select
from worker.model import AllAbove, Rule

BEST = AllAbove(0.5)
NASTY = ["<b>&\"x'", "</style><script>alert(1)</script>", "--> ]]> {{x}}", "plain"]
NAMES = [
    'a/<img src=x onerror="y">.jpg',
    "b&amp;.jpg",
    "c\x1b[31m\x00.jpg",
    "d\udcff\u3000\u200d.jpg",
]
BAD = JobError(Reason.NOT_AN_IMAGE, "first bytes: <?php")


def made(
    outputs: Sequence[str],
    labels: Sequence[str],
    found: Found,
    *,
    names: Sequence[str] = (),
    other: Found | None = None,
    rule: Rule | None = None,
) -> tuple[str, ET.Element]:
    """The page, as text and parsed: it must be well-formed XML."""
    dataset = dataset_of(labels, names)
    rules = {} if rule is None else {"rule": rule}
    evaluation = evaluate(PlayedClassifier(outputs, found, **rules), dataset)
    second = None if other is None else evaluate(PlayedClassifier(outputs, other), dataset)
    report = Report(select(dataset, None, 0), "sha256:11", evaluation, second)
    text = page(report).decode()
    return text, ET.fromstring(text)  # noqa: S314 - our own


def check(text: str, root: ET.Element) -> None:
    """What holds for every page."""
    elements = list(root.iter())
    assert "script" not in {each.tag for each in elements}
    attributes = [(each, name, value) for each in elements for name, value in each.attrib.items()]
    assert not [name for _, name, _ in attributes if name.startswith("on")]
    # Nothing is loaded, and nothing leads out of the page.
    assert all(
        value.startswith("data:image/jpeg;") for _, name, value in attributes if name == "src"
    )
    assert "url(" not in text
    assert "@import" not in text
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value for _, name, value in attributes if name == "href"}
    assert all(target.startswith("#") and target[1:] in ids for target in targets)
    for _, name, value in attributes:
        if name == "aria-labelledby":
            assert set(value.split()) <= set(ids)
    assert all(each.get("alt") for each in root.iter("img"))
    assert all(each.get("scope") in ("row", "col") for each in root.iter("th"))
    assert all(each.find("caption") is not None for each in root.iter("table"))
    # What a heading says is not said again.
    headings = {"".join(each.itertext()) for each in root.iter("h2")}
    captions = {"".join(each.itertext()).partition(":")[0] for each in root.iter("caption")}
    assert not headings & captions
    policy = root.find("head/meta[@http-equiv='Content-Security-Policy']")
    assert policy is not None
    assert policy.get("content", "").startswith("default-src 'none'")
    assert root.get("lang") == "en"
    assert "prefers-color-scheme: dark" in text


def test_names_cannot_break_out() -> None:
    found: Found = [scores_of(4, 1, 0.9), BAD, scores_of(4, 0, 0.8), scores_of(4, 2, 0.7)]
    other: Found = [scores_of(4, 0, 0.9), BAD, scores_of(4, 0, 0.8), scores_of(4, 3, 0.7)]
    text, root = made(NASTY, NASTY, found, names=NAMES, other=other)
    check(text, root)
    assert "<b>" not in text
    shown = "".join(root.itertext())
    for name in (*NASTY, *NAMES[:2]):
        assert name in shown
    assert "first bytes: <?php" in shown
    # What no document may hold is replaced.
    assert "c\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}.jpg" in shown
    assert "d\N{REPLACEMENT CHARACTER}\u3000\u200d.jpg" in shown
    assert len(list(root.iter("img"))) > 3


def test_each_cell_with_mistakes_leads_to_them() -> None:
    found = [scores_of(3, 1, 0.9), scores_of(3, 1, 0.8), scores_of(3, 2, 0.6)]
    text, root = made("abc", ["a", "a", "c"], found)
    check(text, root)
    matrix = root.find(".//table[@class='matrix']")
    assert matrix is not None
    (link,) = matrix.iter("a")
    assert (link.text, link.get("aria-label")) == ("2", "2 of a answered with b")
    assert link.get("href") == "#cell-0-1"
    heading = root.find(".//h3[@id='cell-0-1']")
    assert heading is not None
    assert heading.text == "a answered with b"


def test_a_thousand_classes_leave_a_table_that_can_be_read() -> None:
    names = [f"class {number}" for number in range(1000)]
    labels = [names[number % 200] for number in range(400)]
    # Classes 0 to 39 are taken for the next one, each time.
    found = [scores_of(1000, number % 200 + (number % 200 < 40), 0.9) for number in range(400)]
    text, root = made(names, labels, found)
    check(text, root)
    matrix = root.find(".//table[@class='matrix']")
    assert matrix is not None
    assert len(list(matrix.iter("tr"))) == 31
    shown = "".join(root.itertext())
    assert "These are the 30 classes with the most mistakes; 170 more" in shown
    assert "800 classes are left out that no image is labelled or answered with." in shown
    assert len(text) < 2_000_000


def test_answers_without_a_category_have_a_column() -> None:
    found = [np.array([0.1, 0.2], np.float32), np.array([0.9, 0.2], np.float32)]
    text, root = made("ab", ["a", "a"], found, rule=BEST)
    check(text, root)
    matrix = root.find(".//table[@class='matrix']")
    assert matrix is not None
    assert [each.text for each in matrix.iter("span")] == ["a", "(no class)"]
    assert "a answered with (no class)" in "".join(root.itertext())


def test_a_model_without_mistakes() -> None:
    text, root = made("ab", ["a", "b"], [scores_of(2, 0, 0.9), scores_of(2, 1, 1.0)])
    check(text, root)
    shown = "".join(root.itertext())
    assert "There are no mistakes." in shown
    assert "No label looks wrong." in shown
    assert re.search(r"top-1\s*100\.0 %\s*2 of 2; 95 %: 34\.2 % to 100\.0 %", shown)


def test_the_curve_is_drawn_and_described() -> None:
    found = [scores_of(2, 0, 0.95), scores_of(2, 0, 0.75), scores_of(2, 1, 0.75)]
    _, root = made("ab", ["a", "b", "b"], found)
    drawing = root.find(".//svg")
    assert drawing is not None
    assert drawing.get("role") == "img"
    assert drawing.get("aria-labelledby") == "curve-title curve-text"
    line = drawing.find("polyline")
    assert line is not None
    points = [tuple(map(float, each.split(","))) for each in line.get("points", "").split()]
    # 0.75 of which half are right, 0.95 all: left and right of each other, the latter higher up.
    assert len(points) == 2
    assert points[0][0] < points[1][0]
    assert points[0][1] == 10 + 240 * 0.5
    assert points[1][1] == 10
    assert len(list(drawing.iter("circle"))) == 2
