"""The content of report.json."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.support.evaluation import Found, PlayedClassifier, dataset_of, scores_of
from worker.errors import JobError, Reason
from worker.evaluation.report import Report
from worker.evaluation.run import evaluate
from worker.evaluation.selection import select

BAD = JobError(Reason.CORRUPT_IMAGE, "it is cut off")
LABELS = ["a", "a", "b", "c"]


def report(
    found: Found,
    other: Found | None = None,
    names: Sequence[str] = (),
) -> Report:
    dataset = dataset_of(LABELS, names)
    first = evaluate(PlayedClassifier("abd", found), dataset)
    second = None if other is None else evaluate(PlayedClassifier("abd", other), dataset)
    return Report(select(dataset, None, 0), "sha256:11", first, second)


FOUND: Found = [scores_of(3, 0, 0.9), scores_of(3, 1, 0.8), BAD, scores_of(3, 2, 0.7)]


def test_everything_is_in_it() -> None:
    found = json.loads(report(FOUND).as_json())
    assert found["model"] == {"name": "a model", "digest": "sha256:00", "backend": "played"}
    assert found["data"] == {
        "source": "data",
        "layout": "class folders",
        "split": "all",
        "images": 4,
        "digest": "sha256:11",
        "leaked": [],
    }
    assert (found["images"], found["top1_right"]) == (3, 1)
    assert found["top1"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["top1_interval"] == pytest.approx([0.061492, 0.792340], abs=1e-5)
    assert found["top5"] is None  # three classes
    assert found["classes"] == {
        "in_both": 2,
        "by_one_of_several_names": {},
        "only_in_data": ["c"],
        "only_in_model": ["d"],
    }
    assert found["most_confused"] == [
        {"label": "a", "answer": "b", "images": 1},
        {"label": "c", "answer": "d", "images": 1},
    ]
    assert found["unusable"] == {
        "images": 1,
        "by_reason": {"corrupt_image": [{"image": "2.jpg", "error": "it is cut off"}]},
    }
    assert [(each["image"], each["answer"], each["score"]) for each in found["mistakes"]] == [
        ("1.jpg", "b", 0.8),
        ("3.jpg", "d", 0.7),
    ]
    a = found["per_class"][0]
    assert (a["name"], a["support"], a["precision"], a["recall"]) == ("a", 2, 1.0, 0.5)
    assert sum(each["images"] for each in found["reliability"]) == 3
    assert "against" not in found


def test_five_classes_of_more_are_counted_too() -> None:
    dataset = dataset_of(["a", "b"])
    played = PlayedClassifier("abcdef", [scores_of(6, 0, 0.9), scores_of(6, 5, 0.9)])
    found = Report(select(dataset, None, 0), "", evaluate(played, dataset)).document()
    assert (found["top1"], found["top5"], found["top5_right"]) == (0.5, 1.0, 2)
    assert found["top5_interval"] == pytest.approx([0.342372, 1.0], abs=1e-5)


def test_two_models() -> None:
    other: Found = [scores_of(3, 0, 0.7), scores_of(3, 0, 0.6), scores_of(3, 1, 0.9), BAD]
    found = report(FOUND, other).document()["against"]
    assert (found["images"], found["compared_images"]) == (3, 2)
    assert found["agreement"] == 0.5
    assert found["score_difference_where_agreeing"]["most"] == pytest.approx(0.2)
    assert found["mcnemar"]["only_second_right"] == 1
    assert found["mcnemar"]["p_exact"] == 1.0
    assert found["differing"] == [
        {
            "image": "1.jpg",
            "label": "a",
            "first": "b",
            "first_score": 0.8,
            "second": "a",
            "second_score": 0.6,
        }
    ]


def test_a_name_that_is_not_utf_8_is_json_all_the_same() -> None:
    name = b"caf\xe9.jpg".decode(errors="surrogateescape")
    found = json.loads(report(FOUND, names=["0.jpg", name, "2.jpg", "3.jpg"]).as_json())
    assert found["mistakes"][0]["image"] == name
