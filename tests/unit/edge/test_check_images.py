from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.support.small_model import SPEC
from worker.edge.check_images import CheckImage, candidates, choose
from worker.settings import DecodeSettings


class Reddest:
    """Scores each class by the mean of a channel."""

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        means: npt.NDArray[np.float32] = crops.mean(axis=(1, 2)).astype(np.float32)
        return means / np.float32(255)


def image(name: str, *scores: float) -> CheckImage:
    return CheckImage(
        name, "", "", b"", np.zeros((1, 1, 3), np.uint8), np.array(scores, np.float32)
    )


def test_photographs_come_clearest_first_and_as_the_model_sees_them() -> None:
    found = candidates(SPEC, Reddest(), DecodeSettings())
    assert len({each.name for each in found}) == len({each.png for each in found}) == 6
    leads = [each.lead for each in found]
    assert leads == sorted(leads, reverse=True)
    assert leads[0] > 0.2
    for each in found:
        assert each.png.startswith(b"\x89PNG")
        assert each.crop.shape == (8, 8, 3)
        np.testing.assert_array_equal(each.scores, Reddest().scores(each.crop[None])[0])


def test_the_second_one_is_of_another_class_if_there_is_one() -> None:
    images = [image("a", 0.9, 0.1), image("b", 0.8, 0.2), image("c", 0.4, 0.6)]
    assert [each.name for each in choose(images)] == ["a", "c"]
    assert [each.name for each in choose(images[:2])] == ["a", "b"]


def test_a_class_that_is_as_good_is_the_best_one_too() -> None:
    tied = image("a", 0.5, 0.4999, 0.4)
    assert [tied.is_best(number) for number in range(3)] == [True, True, False]
    assert image("b", 0.5).lead == 0
