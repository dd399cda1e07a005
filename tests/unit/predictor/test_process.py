"""How a predictor process computes a batch that its owner wants in parts; without the process."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.small_model import SPEC
from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.protocol import Failed, Ran, Run, SharedBatch, Start
from worker.predictor.process import _answer, _Predictors
from worker.runtime.processes import anonymous_file

CLASSES = 2


@dataclass
class Sum:
    """Answers an image with its first number; fails as the test says.

    Attributes:
        sizes: how many images it was given at once.
        refuses: a number that it cannot answer.
        alone: whether what it was given last is all that there is to compute.
    """

    sizes: list[int] = field(default_factory=list)
    refuses: int = -1
    alone: bool = False

    def scores(
        self, crops: npt.NDArray[np.uint8], solo_threads: int = 0, *, alone: bool = True
    ) -> npt.NDArray[np.float32]:
        self.sizes.append(len(crops))
        self.alone = alone
        numbers = crops[:, 0, 0, 0].astype(np.float32)
        if self.refuses in numbers:
            raise ValueError("it refuses")
        return np.stack([numbers, numbers + 100], axis=1)


@pytest.fixture
def shared() -> SharedBatch:
    memory = anonymous_file()
    try:
        batch = SharedBatch(memory, 8, SPEC.input_size, CLASSES)
    finally:
        os.close(memory)
    batch.crops[:] = np.arange(8, dtype=np.uint8)[:, None, None, None]
    return batch


def answer(network: Sum, shared: SharedBatch, request: Run) -> Ran | Failed:
    start = Start(SPEC, CPU, 1, 8, Failpoints(), "paddle")
    predictors = cast("_Predictors", network)
    return _answer(predictors, shared, request, start)


@pytest.mark.parametrize(
    ("part", "sizes"), [(0, [5]), (1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (8, [5])]
)
def test_each_image_is_answered_in_its_row_whatever_the_parts(
    shared: SharedBatch, part: int, sizes: list[int]
) -> None:
    network = Sum()
    assert isinstance(answer(network, shared, Run(5, first=2, part=part)), Ran)
    assert network.sizes == sizes
    numbers = [0, 0, 2, 3, 4, 5, 6, 0]
    assert shared.scores[:, 0].tolist() == numbers
    assert shared.scores[2:7, 1].tolist() == [number + 100 for number in numbers[2:7]]


def test_a_part_that_fails_fails_its_batch(shared: SharedBatch) -> None:
    network = Sum(refuses=5)
    failed = answer(network, shared, Run(8, part=2))
    assert isinstance(failed, Failed)
    assert "it refuses" in failed.why
    assert network.sizes == [2, 2, 2], "what follows is not computed for nothing"


@pytest.mark.parametrize(("count", "alone"), [(1, True), (2, False)])
def test_an_image_is_alone_where_it_is_no_part(
    shared: SharedBatch, count: int, alone: bool
) -> None:
    network = Sum()
    answer(network, shared, Run(count, part=1))
    assert network.alone is alone
