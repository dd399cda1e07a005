"""report.html in a browser: for everybody, in both schemes, on a telephone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import chromium
from tests.support.evaluation import Found, PlayedClassifier, dataset_of, scores_of
from tests.support.page import Page
from worker.errors import JobError, Reason
from worker.evaluation.page.page import page as make_page
from worker.evaluation.report import Report
from worker.evaluation.run import evaluate
from worker.evaluation.selection import select

CLASSES = [
    *(f"a rather long name of class {number}" for number in range(10)),
    "<script>document.title = 'broken'</script>",
    "averyveryverylongnamewithoutanyspaceinit" * 2,
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a model that is right four times of five, against another one."""
    draw = random.Random(7)  # noqa: S311 - not a secret
    labels = [draw.choice(CLASSES) for _ in range(150)]
    dataset = dataset_of(labels)
    both = []
    for _ in range(2):
        answers = [
            scores_of(
                12,
                CLASSES.index(label) if draw.random() < 0.8 else draw.randrange(12),
                draw.uniform(0.3, 1),
            )
            for label in labels[:-1]
        ]
        found: Found = [*answers, JobError(Reason.NOT_AN_IMAGE, "it is text")]
        both.append(evaluate(PlayedClassifier(CLASSES, found), dataset))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(make_page(Report(select(dataset, None, 0), "sha256:11", *both)))
    return path


@pytest.fixture(scope="module")
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report in a browser; whatever that complains about fails the test."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        driver.set_script_timeout(60)
        yield Page(driver, report.as_uri())
        assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1200)])
def test_everybody_can_read_it(page: Page, scheme: str, width: int) -> None:
    page.emulate(prefers_color_scheme=scheme)
    page.be_phone(width)
    assert page.found_by_axe() == []
    # Tables are scrolled by themselves, and the page is not.
    assert page.run("return document.documentElement.scrollWidth") == width
    assert page.run("return document.title") == "Evaluation of a model"


def test_a_cell_leads_to_its_mistakes(page: Page) -> None:
    link = page.run("return document.querySelector('.matrix a')")
    page.run("arguments[0].click()", link)
    target = page.run("return document.querySelector(':target').innerText")
    count, told = link.get_attribute("aria-label").split(" of ", 1)
    assert target == told
    shown = page.run(
        "return document.querySelector(':target ~ ul').querySelectorAll('li img').length"
    )
    assert shown == int(count)
