"""Normalisation, softmax and checks of answers, with networks that are functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import ModelError
from worker.model import AllAbove, BestAbove, CenterCrop, ModelSpec, Normalize
from worker.predictor.backends import own_sentence
from worker.predictor.predictor import Predictor

Tensor = npt.NDArray[np.float32]

HEIGHT, WIDTH = 3, 5


class Network:
    """A backend that answers with a function of the normalised images, and keeps them."""

    name = "function"

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self.answer = answer
        self.batches: list[Tensor] = []

    def run(self, batch: Tensor) -> Tensor:
        self.batches.append(batch.copy())
        return self.answer(batch)


def uniform(batch: Tensor) -> Tensor:
    return np.full((len(batch), 4), 0.25, np.float32)


def logits(batch: Tensor) -> Tensor:
    return np.tile(np.array([1.0, -2.0, 3.0, 600.0], np.float32), (len(batch), 1))


def make_spec(**changes: object) -> ModelSpec:
    model = ModelSpec(
        name="made up",
        directory=Path("model"),
        program=Path("model/inference.json"),
        params=Path("model/inference.pdiparams"),
        resize=None,
        crop=CenterCrop(WIDTH, HEIGHT),
        normalize=Normalize(),
        labels=(),
        top_k=5,
        digest="sha256:0",
    )
    return replace(model, **changes)  # type: ignore[arg-type]


def crops(count: int, value: int = 0) -> npt.NDArray[np.uint8]:
    return np.full((count, HEIGHT, WIDTH, 3), value, np.uint8)


FINITE = st.floats(0.01, 2.0)

TRIPLE = st.tuples(FINITE, FINITE, FINITE)


@given(
    scale=st.sampled_from([1 / 255, 1.0, 0.0078125]),
    mean=TRIPLE,
    std=TRIPLE,
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_normalisation_is_the_references_formula_to_the_last_bit(
    scale: float, mean: tuple[float, float, float], std: tuple[float, float, float], seed: int
) -> None:
    network = Network(uniform)
    predictor = Predictor(make_spec(normalize=Normalize(scale, mean, std)), network)
    images = np.random.default_rng(seed).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    predictor.scores(images)
    alpha = np.float32(scale) / np.array(std, np.float32)
    beta = np.array(mean, np.float32) / np.array(std, np.float32)
    expected = (images.astype(np.float32) * alpha - beta).transpose(0, 3, 1, 2)
    assert network.batches[-1].dtype == np.float32
    np.testing.assert_array_equal(network.batches[-1], expected)


class CropNetwork:
    """A backend that normalises by itself."""

    name = "on the device"

    def __init__(self) -> None:
        self.batches: list[npt.NDArray[np.uint8]] = []

    def run_crops(self, crops: npt.NDArray[np.uint8]) -> Tensor:
        self.batches.append(crops.copy())
        return uniform(crops.astype(np.float32))


def test_crops_reach_a_backend_that_normalises_them_as_they_are() -> None:
    network = CropNetwork()
    predictor = Predictor(make_spec(), network)
    images = np.random.default_rng(3).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(predictor.scores(images), np.full((3, 4), 0.25))
    np.testing.assert_array_equal(network.batches[-1], images)


def test_channels_stay_in_rgb_order() -> None:
    network = Network(uniform)
    no_change = Normalize(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    predictor = Predictor(make_spec(normalize=no_change), network)
    predictor.scores(np.broadcast_to(np.array([10, 20, 30], np.uint8), (1, HEIGHT, WIDTH, 3)))
    (image,) = network.batches[-1]
    assert [set(channel.ravel()) for channel in image] == [{10.0}, {20.0}, {30.0}]


def test_probabilities_pass_as_they_are() -> None:
    predictor = Predictor(make_spec(), Network(uniform))
    assert predictor.classes == 4
    np.testing.assert_array_equal(predictor.scores(crops(2)), np.full((2, 4), 0.25))


def test_logits_become_probabilities_without_overflow() -> None:
    scores = Predictor(make_spec(), Network(logits)).scores(crops(2))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    assert scores.argmax(axis=1).tolist() == [3, 3]


def test_logits_that_happen_to_be_positive_are_still_logits() -> None:
    scores = Predictor(make_spec(), Network(lambda batch: logits(batch) + 2)).scores(crops(1))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


def fixed(*scores: float) -> Network:
    """Answers every image with the same."""
    return Network(lambda batch: np.tile(np.array(scores, np.float32), (len(batch), 1)))


def test_scores_of_a_sigmoid_stay_as_they_are() -> None:
    scores = Predictor(make_spec(), fixed(0.98, 0.676, 0.145)).scores(crops(2))
    np.testing.assert_array_equal(scores, np.array([[0.98, 0.676, 0.145]] * 2, np.float32))
    one = Predictor(make_spec(), fixed(0.3)).scores(crops(1))
    np.testing.assert_array_equal(one, np.array([[0.3]], np.float32))


def brightness(batch: Tensor) -> Tensor:
    """Logits that hang on how bright an image is: of medium ones they are all within 0 and 1."""
    mean = batch.mean(axis=(1, 2, 3))
    return np.stack([0.5 + mean / 3, 0.6 - mean / 3, np.full(len(batch), 0.4)], 1).astype(
        np.float32
    )


@pytest.mark.parametrize(("rule", "total"), [(None, 1.0), (AllAbove(), None)])
def test_logits_are_logits_for_every_image_also_for_one_whose_are_within_0_and_1(
    rule: AllAbove | None, total: float | None
) -> None:
    spec = make_spec() if rule is None else make_spec(rule=rule)
    images = np.concatenate([crops(1, 120), crops(1, 255), crops(1, 0)])
    raw = brightness(np.zeros((1, 3, 1, 1), np.float32))
    assert raw.min() >= 0
    assert raw.max() <= 1
    predictor = Predictor(spec, Network(brightness))
    together = predictor.scores(images)
    alone = np.concatenate([predictor.scores(image[None]) for image in images])
    np.testing.assert_array_equal(together, alone)
    assert np.ptp(together[0]) < np.ptp(together[1])
    if total is not None:
        np.testing.assert_allclose(together.sum(axis=1), total, rtol=1e-6)


def test_logits_of_labels_that_do_not_exclude_each_other_get_a_sigmoid() -> None:
    spec = make_spec(rule=AllAbove())
    scores = Predictor(spec, fixed(4.0, -200.0, 200.0, 0.0)).scores(crops(1))
    np.testing.assert_allclose(scores, [[0.98201379, 0.0, 1.0, 0.5]], atol=1e-6)
    single = Predictor(spec, fixed(-4.0)).scores(crops(1))
    np.testing.assert_allclose(single, [[0.01798621]], atol=1e-6)


def test_one_number_that_is_no_score_is_refused() -> None:
    with pytest.raises(ModelError, match=r"one number, .*: export it with a sigmoid, or with one"):
        Predictor(make_spec(), fixed(-4.0))


def test_rounding_leads_no_score_out_of_its_range() -> None:
    scores = Predictor(make_spec(), fixed(1.0000002, -1e-7)).scores(crops(1))
    np.testing.assert_array_equal(scores, [[1.0, 0.0]])


def test_scores_that_turn_out_to_be_logits_fail_their_batch_and_no_other() -> None:
    network = fixed(0.9, 0.8)
    predictor, answer = Predictor(make_spec(), network), network.answer
    network.answer = lambda batch: 3 * answer(batch)
    with pytest.raises(
        ValueError, match=r"with 2\.4 to 2\.7, though with scores from 0 to 1 when it"
    ):
        predictor.scores(crops(1))
    network.answer = answer
    np.testing.assert_array_equal(predictor.scores(crops(1)), np.array([[0.9, 0.8]], np.float32))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda batch: np.zeros(len(batch), np.int64), "int64, .* argmax"),
        (
            lambda batch: np.zeros((len(batch), 4), np.int32),
            "int32, not with floating-point",
        ),
        (lambda batch: np.ones((len(batch), 4), np.bool_), "bool"),
        (
            lambda batch: np.ones(len(batch), np.float32),
            r"shape \(2,\), not with one score",
        ),
        (lambda batch: np.ones((len(batch), 4, 8, 8), np.float32), r"\(2, 4, 8, 8\), not with one"),
        (lambda batch: np.ones((len(batch), 0), np.float32), r"\(2, 0\)"),
        (lambda batch: np.float32(1), r"shape \(\)"),
    ],
)
def test_a_network_that_answers_with_no_scores_is_refused_when_it_is_loaded(
    answer: Callable[[Tensor], Tensor], message: str
) -> None:
    with pytest.raises(ModelError, match=rf"model/inference\.json cannot be used: .*{message}"):
        Predictor(make_spec(), Network(answer))


def test_labels_and_thresholds_of_other_classes_are_refused_when_it_is_loaded() -> None:
    with pytest.raises(ModelError, match=r"inference\.yml names 2 labels, but .* 4 scores"):
        Predictor(make_spec(labels=("a", "b")), Network(uniform))
    with pytest.raises(ModelError, match="of other classes than the 4"):
        Predictor(make_spec(rule=AllAbove(thresholds={4: 0.1})), Network(uniform))
    with pytest.raises(ModelError, match="for two classes or more"):
        Predictor(make_spec(rule=BestAbove()), fixed(0.5))


def test_scores_of_half_precision_are_probabilities_in_float32() -> None:
    half = np.array([0.3333, 0.3333, 0.3333], np.float16)
    network = Network(lambda batch: np.tile(half, (len(batch), 1)))
    scores = Predictor(make_spec(), network).scores(crops(1))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, [half.astype(np.float32)])


def test_trailing_dimensions_of_one_are_dropped() -> None:
    predictor = Predictor(make_spec(), Network(lambda batch: uniform(batch)[:, :, None, None]))
    assert predictor.scores(crops(3)).shape == (3, 4)


def test_a_smaller_batch_leaves_nothing_of_the_larger_one_before() -> None:
    network = Network(lambda batch: np.repeat(batch.mean(axis=(1, 2, 3))[:, None], 2, axis=1))
    predictor = Predictor(make_spec(), network)
    predictor.scores(crops(4, 255))
    predictor.scores(crops(1, 7))
    assert network.batches[-1].shape[0] == 1
    assert len(set(network.batches[-1][0, 0].ravel())) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_fail_the_batch(value: float) -> None:
    network = Network(uniform)
    predictor = Predictor(make_spec(), network)
    network.answer = lambda batch: np.full((len(batch), 4), value, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        predictor.scores(crops(2))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 4), r"2 images with shape \(1, 4\)"), ((4, 4), r"shape \(4, 4\)"), ((2, 1), "1 scores")],
)
def test_another_shape_than_before_fails_the_batch(shape: tuple[int, int], message: str) -> None:
    network = Network(uniform)
    predictor = Predictor(make_spec(), network)
    network.answer = lambda batch: np.full(shape, 0.25, np.float32)
    with pytest.raises(ValueError, match=message):
        predictor.scores(crops(2))


def test_a_network_that_cannot_answer_its_own_size_names_its_file() -> None:
    def refuse(batch: Tensor) -> Tensor:
        raise RuntimeError("C++ stack\n(InvalidArgument) wrong size\n  [Hint: no]")

    with pytest.raises(ModelError, match=r"model/inference\.json .* 5 x 3 pixels: .*wrong size$"):
        Predictor(make_spec(), Network(refuse))


def test_a_network_of_nans_is_refused_when_it_is_loaded() -> None:
    network = Network(lambda batch: np.full((len(batch), 4), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"inference\.json .*not finite"):
        Predictor(make_spec(), network)


STACK = """
-----
C++ Traceback (most recent call last):
-----
0   paddle::AnalysisPredictor::ZeroCopyRun(int, bool)

-----
Error Message Summary:
-----
UnimplementedError: no bfloat16 here
  [Hint: none] (at /p/q.cc:7)
"""

IN_USER_CODE = """In user code:


    InvalidArgumentError: 4 channels (with NCHW), but
      3 of the filter.
      [Hint: Expected 4 == 3, but received 4 != 3.] (at /p/binary.cc:642)
      [operator < pd_kernel.phi_kernel > error]"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stack\n\n(NotFound) no file\n  [Hint: look]\n", "(NotFound) no file"),
        ("(InvalidArgument) Bad file. (at /p/q.cc:104)\n", "(InvalidArgument) Bad file."),
        (IN_USER_CODE, "InvalidArgumentError: 4 channels (with NCHW), but 3 of the filter."),
        (STACK, "UnimplementedError: no bfloat16 here"),
        ("NotFoundError: no kernel\n  [operator < conv2d > error]", "NotFoundError: no kernel"),
        (
            "[json.exception.101] parse error at line 1",
            "[json.exception.101] parse error at line 1",
        ),
        ("plain words\nin two lines", "plain words in two lines"),
        ("[Hint: alone]", "[Hint: alone]"),
        ("x" * 2000, "x" * 1000),
        ("", "ValueError"),
    ],
)
def test_paddles_own_sentence_is_found_among_stack_hints_and_operators(
    text: str, sentence: str
) -> None:
    assert own_sentence(ValueError(text)) == sentence
