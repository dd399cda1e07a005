"""Normalisation, softmax and checks of answers, with networks that are functions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import ModelError
from worker.inference.backends import last_line
from worker.inference.predictor import Predictor, load_predictor
from worker.model import Crop, ModelSpec, Normalize, load_model_spec

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
        crop=Crop(WIDTH, HEIGHT),
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


def test_the_real_model_answers_each_image_alike_in_any_batch(
    spec: ModelSpec, crops: list[npt.NDArray[np.uint8]]
) -> None:
    predictor = load_predictor(spec, "cpu", 1)
    assert predictor.classes == 1000
    together = predictor.scores(np.stack(crops))
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-4)
    for crop, scores in zip(crops, together, strict=True):
        np.testing.assert_allclose(predictor.scores(crop[None])[0], scores, atol=1e-5)


def truncate(model: Path) -> None:
    params = model / "inference.pdiparams"
    params.write_bytes(params.read_bytes()[:1_000_000])


def overwrite(model: Path) -> None:
    (model / "inference.pdiparams").write_bytes(b"x" * 1000)


def break_program(model: Path) -> None:
    (model / "inference.json").write_text('{"a": 1}')


def remove(model: Path) -> None:
    shutil.rmtree(model)


@pytest.mark.parametrize("damage", [truncate, overwrite, break_program, remove])
def test_a_damaged_model_is_named(
    damage: Callable[[Path], None], model_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    spec = load_model_spec(model)
    damage(model)
    with pytest.raises(ModelError) as raised:
        load_predictor(spec, "cpu", 1)
    message = str(raised.value)
    assert str(model / "inference.json") in message
    assert "inference.pdiparams" in message
    assert "\n" not in message


def test_the_fact_is_found_among_stack_and_hints() -> None:
    assert last_line(ValueError("stack\n\n(NotFound) no file\n  [Hint: look]\n")) == (
        "(NotFound) no file"
    )
    assert last_line(ValueError("[Hint: alone]")) == "[Hint: alone]"
    assert last_line(KeyError()) == "KeyError"
