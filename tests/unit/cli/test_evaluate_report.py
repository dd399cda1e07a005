"""What `evaluate` says of the figures, on standard output and on standard error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.evaluation import Found, PlayedClassifier, dataset_of, scores_of
from worker.cli.evaluate_report import figures_lines, notes, print_report
from worker.errors import JobError, Reason
from worker.evaluation.page.page import page
from worker.evaluation.report import Report
from worker.evaluation.run import evaluate
from worker.evaluation.selection import select

MODEL = ["cat", "dog", "eel", "fox", "gnu", "hen"]
LABELS = ["cat", "cat", "Dog", "gnu", "hen", "hen"]
BAD = JobError(Reason.NOT_AN_IMAGE, "it is text")
FOUND: Found = [
    scores_of(6, 0, 0.9),
    scores_of(6, 1, 0.8),
    scores_of(6, 1, 0.7),
    scores_of(6, 4, 0.9),
    BAD,
    scores_of(6, 5, 0.9),
]


def report(other: Found | None = None) -> Report:
    dataset = dataset_of(LABELS, ["0.jpg", "1.jpg", "\x1b[31m.jpg", "3.jpg", "4.jpg", "5.jpg"])
    first = evaluate(PlayedClassifier(MODEL, FOUND), dataset)
    second = None if other is None else evaluate(PlayedClassifier(MODEL, other), dataset)
    return Report(select(dataset, None, 0), "sha256:11", first, second)


def test_the_figures() -> None:
    lines = list(figures_lines(report()))
    assert lines[0] == "a model (played) on data"
    assert lines[1:5] == [
        "images              5",
        "top-1               0.6000  (3 of 5; 95 %: 0.2307 to 0.8824)",
        "top-5               0.8000  (4 of 5; 95 %: 0.3755 to 0.9638)",
        "macro F1            0.6667",
    ]
    assert "      1  cat answered with dog" in lines
    assert "  0.000  Dog (0 of 1 right)" in lines
    assert not any(line.startswith("Against") for line in lines)


def test_the_figures_of_two_models() -> None:
    lines = list(figures_lines(report([scores_of(6, 0, 0.8)] * 6)))
    assert "Against a model (played):" in lines
    assert "agreement           0.2000  (1 of 5)" in lines
    assert "right alone         2 the first, 1 the second" in lines
    assert any(line.startswith("McNemar             p = 1 (exact)") for line in lines)


def test_what_has_to_be_known() -> None:
    found = list(notes(report()))
    assert found[0].startswith("all 6 images are evaluated, as the data are not split")
    assert found[1:5] == [
        "classes of the data that the model does not know, 1, whose images are all wrong: 'Dog'",
        "'Dog' of the data and 'dog' of the model differ only in how they are written",
        "classes of the model that the data lack, 3: 'dog', 'eel', 'fox'",
        "1 of 6 images cannot be used, and count nowhere: 1 not_an_image",
    ]
    assert "4.jpg: it is text" in found


def test_names_are_safe_to_print(capfd: pytest.CaptureFixture[str]) -> None:
    print_report(report(), figures=True, report=Path("out"), baseline=Path("b.json"))
    out, err = capfd.readouterr()
    assert "top-1" in out
    assert "\x1b" not in out + err
    *_, directory, baseline, small = err.splitlines()
    assert [directory, baseline] == [
        "classify-worker: the report is out/report.html, and report.json beside it",
        "classify-worker: the baseline is b.json: set drift.baseline of the worker to it",
    ]
    assert "5 images are few for a baseline: with a drift.window of 1000, chance alone" in small
    assert small.endswith("; evaluate 99 images or more for the baseline")


def test_standard_output_may_be_anothers(capfd: pytest.CaptureFixture[str]) -> None:
    print_report(report(), figures=False, report=None, baseline=None)
    assert capfd.readouterr().out == ""


def test_images_that_a_model_may_know_by_heart_are_pointed_out() -> None:
    whole = report()
    found = replace(whole, selection=replace(whole.selection, leaked=("test/a/1.jpg",)))
    note = list(notes(found))[1]
    assert note.startswith(
        "images that are, byte by byte, to train with or to choose by as well, 1"
    )
    assert "test/a/1.jpg" in note
    assert b"test/a/1.jpg" in page(found)
    assert found.document()["data"]["leaked"] == ["test/a/1.jpg"]
