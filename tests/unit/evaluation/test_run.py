"""One pass over labelled images, with a model that is played."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluation import PlayedClassifier, dataset_of, scores_of
from worker.clock import Clock
from worker.errors import DatasetError, JobError, Reason
from worker.evaluation.answers import NO_CLASS
from worker.evaluation.run import evaluate
from worker.model import AllAbove, BestAbove

NOT_AN_IMAGE = JobError(Reason.NOT_AN_IMAGE, "it is text")


def test_answers_errors_and_pictures_are_those_of_their_images() -> None:
    classifier = PlayedClassifier(
        "ab", [scores_of(2, 0, 0.9), NOT_AN_IMAGE, scores_of(2, 0, 0.8), scores_of(2, 1, 0.7)]
    )
    seen: list[None] = []
    times = iter([10.0, 12.5])
    found = evaluate(
        classifier,
        dataset_of(["a", "a", "b", "b"]),
        lambda: seen.append(None),
        Clock(monotonic=lambda: next(times)),
    )
    assert found.answers.item.tolist() == [0, 2, 3]
    assert found.answers.right.tolist() == [True, False, True]
    (unusable,) = found.unusable
    assert (unusable.item, unusable.reason, unusable.message) == (1, "not_an_image", "it is text")
    # Of mistakes alone.
    assert found.pictures.keys() == {2}
    assert found.pictures[2].startswith(b"\xff\xd8")
    assert found.baseline.images == 3
    assert (found.seconds, len(seen)) == (2.5, 4)
    assert found.model.digest == classifier.identity.digest


def test_a_model_without_labels_is_known_by_its_class_ids() -> None:
    classifier = PlayedClassifier((), [scores_of(12, 11, 0.9), scores_of(12, 0, 0.9)])
    found = evaluate(classifier, dataset_of(["11", "10"]))
    assert found.answers.right.tolist() == [True, False]


@pytest.mark.parametrize(
    ("scores", "answer"), [((0.9, 0.8), 0), ((0.3, 0.6), 1), ((0.3, 0.4), NO_CLASS)]
)
def test_a_model_with_thresholds_is_taken_at_its_word(
    scores: tuple[float, float], answer: int
) -> None:
    classifier = PlayedClassifier("ab", [np.array(scores, np.float32)], AllAbove(0.5))
    assert evaluate(classifier, dataset_of(["b"])).answers.answer.tolist() == [answer]


def test_a_model_with_one_threshold_answers_with_its_default_below_it() -> None:
    classifier = PlayedClassifier("abc", [scores_of(3, 1, 0.4)], BestAbove(0.5, otherwise=2))
    found = evaluate(classifier, dataset_of(["c"])).answers
    assert found.answer.tolist() == [2]
    assert found.score.tolist() == pytest.approx([0.3])


def test_what_is_no_file_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    dataset = dataset_of(["a", "a", "b"])
    first, *others = dataset.items
    pipe, folder = replace(first, path=tmp_path / "pipe.jpg"), replace(first, path=tmp_path)
    played = PlayedClassifier("ab", [scores_of(2, 0, 0.9)] * 3)
    found = evaluate(played, replace(dataset, items=(pipe, folder, others[0])))
    assert [each.message for each in found.unusable] == ["it is no plain file"] * 2
    assert found.answers.item.tolist() == [2]


def test_no_image_that_can_be_used_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"none of the 2 .*: 2 not_an_image.* 0\.jpg: it is"):
        evaluate(PlayedClassifier("ab", [NOT_AN_IMAGE, NOT_AN_IMAGE]), dataset_of(["a", "b"]))
