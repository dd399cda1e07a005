"""The demo succeeds only with the right answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demo.expectations import ENCODINGS, Expectation, expectations, problems
from worker.contract.jobs import Category
from worker.submit import ItemResult


@pytest.fixture
def expected(tmp_path: Path) -> tuple[Expectation, ...]:
    return expectations(tmp_path)


def right(expected: tuple[Expectation, ...]) -> list[ItemResult]:
    answers = []
    for number, each in enumerate(expected, 1):
        if each.photograph is None:
            answers.append(ItemResult(number, each.item, code=422, error="cut off"))
        else:
            best = Category(each.photograph.class_id, "any name", 0.5)
            answers.append(
                ItemResult(number, each.item, code=0, categories=(best,), saved=Path("p.jpg"))
            )
    return answers


def test_each_photograph_goes_every_way_and_one_is_broken(
    expected: tuple[Expectation, ...],
) -> None:
    whole = [each for each in expected if each.photograph is not None]
    assert len({each.item.name for each in whole}) >= 12
    assert len({(each.item.name, each.item.encoding) for each in whole}) == len(whole)
    assert {each.item.encoding for each in whole} == set(ENCODINGS)
    assert len(expected) - len(whole) == 1


def test_the_right_answers_are_right(expected: tuple[Expectation, ...]) -> None:
    assert problems(expected, right(expected)) == []


def test_each_wrong_answer_is_named(expected: tuple[Expectation, ...]) -> None:
    answers = right(expected)
    wrong_class = replace(answers[0].categories[0], id=0, name="tench")
    answers[0] = replace(answers[0], categories=(wrong_class,))
    answers[1] = replace(answers[1], code=500, error="internal error", categories=())
    answers[2] = replace(answers[2], saved=None)
    answers[-1] = replace(answers[-1], code=0, error=None)
    del answers[3]
    found = problems(expected, answers)
    assert [sentence.partition(": ")[2] for sentence in found] == [
        "bull mastiff was expected, not tench",
        "internal error",
        "the result has no picture",
        "no answer",
        "error 422 was expected, not 0",
    ]


def test_the_broken_one_must_be_refused_for_being_broken(
    expected: tuple[Expectation, ...],
) -> None:
    answers = right(expected)
    answers[-1] = replace(answers[-1], code=None, error="no result within 60 s")
    assert problems(expected, answers) == ["broken.jpg (raw): error 422 was expected, not None"]
