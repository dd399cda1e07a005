"""Bisection over sets of poison images: who is blamed, and at what cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import PredictorCrashedError, PredictorError
from worker.inference.isolation import Poisoned, run_isolated


class Predictor:
    """Squares numbers, and fails whenever a poisonous one is in the batch."""

    def __init__(self, poison: set[int], failures: int = 0) -> None:
        self.poison = poison
        self.failures = failures
        self.runs: list[list[int]] = []

    async def run(self, items: Sequence[int]) -> list[int]:
        self.runs.append(list(items))
        if self.failures:
            self.failures -= 1
            raise PredictorCrashedError("bad luck")
        if self.poison & set(items):
            raise PredictorCrashedError(f"run {len(self.runs)}")
        return [item * item for item in items]


@given(st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_exactly_the_poison_images_are_blamed(case: tuple[int, set[int]]) -> None:
    count, poison = case
    predictor = Predictor(poison)
    answers = asyncio.run(run_isolated(predictor.run, range(count)))
    assert len(answers) == count
    for item, answer in enumerate(answers):
        if item in poison:
            assert isinstance(answer, Poisoned)
            assert isinstance(answer.error, PredictorCrashedError)
            assert predictor.runs[int(str(answer.error).removeprefix("run ")) - 1] == [item]
            assert answer.attempts == sum(item in run for run in predictor.runs)
        else:
            assert answer == item * item
    # One run, one more of the whole, and two for each level on the way to each poison image.
    levels = math.ceil(math.log2(count)) if count > 1 else 0
    assert len(predictor.runs) <= 2 + 2 * levels * len(poison)
    assert len(predictor.runs) <= 2 * count + 1


async def test_bad_luck_is_blamed_on_no_image() -> None:
    predictor = Predictor(set(), failures=1)
    assert await run_isolated(predictor.run, [2, 3]) == [4, 9]
    assert predictor.runs == [[2, 3], [2, 3]]


async def test_a_single_image_gets_a_second_try() -> None:
    predictor = Predictor(set(), failures=1)
    assert await run_isolated(predictor.run, [5]) == [25]


async def test_a_single_poison_image_fails_after_two_runs() -> None:
    predictor = Predictor({5})
    (answer,) = await run_isolated(predictor.run, [5])
    assert isinstance(answer, Poisoned)
    assert answer.attempts == 2
    assert len(predictor.runs) == 2


async def test_what_is_no_predictor_error_goes_to_the_caller() -> None:
    runs = 0

    async def run(items: Sequence[int]) -> list[int]:
        nonlocal runs
        runs += 1
        if runs > 1:
            raise OSError("no process")
        raise PredictorError("first")

    with pytest.raises(OSError, match="no process"):
        await run_isolated(run, [1, 2])


async def test_a_missing_answer_is_a_defect_not_a_shift_of_answers() -> None:
    async def run(items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    with pytest.raises(AssertionError, match="1 answers for 2 items"):
        await run_isolated(run, [1, 2])
