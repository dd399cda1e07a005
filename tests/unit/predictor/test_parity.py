"""Which backends pass the parity check, and what is remembered of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.errors import ModelError, ParityError
from worker.kernels import Precision
from worker.predictor.parity import TOLERANCE, compare, load_checked, probe_crops
from worker.predictor.parity_cache import CHECK_VERSION, Parity, ParityCache

Scores = npt.NDArray[np.float32]

PLAIN = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]], np.float32)


class Network:
    """Answers any crops with the same scores."""

    def __init__(self, scores: Scores) -> None:
        self.answer = scores
        self.seen: list[npt.NDArray[np.uint8]] = []

    def scores(self, crops: npt.NDArray[np.uint8]) -> Scores:
        self.seen.append(crops)
        return self.answer


class Loader:
    """Makes the network, and counts how often."""

    def __init__(self, make: Callable[[], Network]) -> None:
        self.make = make
        self.calls = 0

    def __call__(self) -> Network:
        self.calls += 1
        return self.make()


def answering(scores: Scores) -> Loader:
    return Loader(lambda: Network(scores))


@pytest.fixture
def cache(tmp_path: Path) -> ParityCache:
    return ParityCache(tmp_path / "parity", "sha256:1", "fast 1.0")


def test_equal_answers_pass_and_are_loaded_once(cache: ParityCache) -> None:
    fast, plain = answering(PLAIN), answering(PLAIN)
    chosen = load_checked(fast, plain, (8, 6), cache)
    assert (fast.calls, plain.calls) == (1, 1)
    (crops,) = chosen.seen
    np.testing.assert_array_equal(crops, probe_crops((8, 6)))


def test_wrong_answers_do_not_pass(cache: ParityCache) -> None:
    wrong = PLAIN + np.array([[TOLERANCE * 2, 0, 0], [0, 0, 0]], np.float32)
    for _ in range(2):  # the second time it is known
        with pytest.raises(ParityError, match=r"^a score differs by 0\.002$"):
            load_checked(answering(wrong), answering(PLAIN), (8, 6), cache)
    kept = cache.read()
    assert kept is not None
    assert not kept.agrees
    assert kept.deviation == pytest.approx(TOLERANCE * 2, rel=1e-3)


@pytest.mark.parametrize(
    ("precision", "difference", "agrees"),
    [
        ("fp32", 2e-3, False),
        ("fp16", 1.9e-2, True),
        ("fp16", 2.1e-2, False),
        ("bf16", 0.09, True),
        ("bf16", 0.11, False),
    ],
)
def test_with_fewer_digits_scores_may_differ_by_more(
    cache: ParityCache, *, precision: Precision, difference: float, agrees: bool
) -> None:
    other = PLAIN + np.array([[difference, 0, 0], [0, 0, 0]], np.float32)
    if agrees:
        load_checked(answering(other), answering(PLAIN), (8, 6), cache, precision)
        return
    with pytest.raises(ParityError, match="a score differs by"):
        load_checked(answering(other), answering(PLAIN), (8, 6), cache, precision)


def test_with_fewer_digits_another_class_may_be_the_best_one() -> None:
    close = np.array([[0.300, 0.304]], np.float32)
    other = np.array([[0.304, 0.300]], np.float32)
    assert compare(other, close, "fp16").agrees
    assert not compare(other, close).agrees


def test_one_that_cannot_load_does_not_pass(cache: ParityCache) -> None:
    def fail() -> Network:
        raise SystemError("no kernel for this")

    with pytest.raises(ParityError, match=r"^no kernel for this$"):
        load_checked(Loader(fail), answering(PLAIN), (8, 6), cache)
    assert cache.read() == Parity(False, 1.0, "no kernel for this")


@pytest.mark.parametrize("kind", [OSError, MemoryError, ImportError])
def test_what_may_pass_by_next_time_is_not_remembered(
    cache: ParityCache, kind: type[Exception]
) -> None:
    def fail() -> Network:
        raise ModelError("cannot load it") from kind("no room")

    with pytest.raises(ParityError, match=r"^cannot load it$"):
        load_checked(Loader(fail), answering(PLAIN), (8, 6), cache)
    assert cache.read() is None
    assert load_checked(answering(PLAIN), answering(PLAIN), (8, 6), cache).answer is PLAIN


@pytest.mark.parametrize(
    "said", ["CUDA failure 2: out of memory ; GPU=0", "Failed to allocate memory for requested"]
)
def test_too_little_memory_of_a_gpu_is_not_remembered(cache: ParityCache, said: str) -> None:
    def fail() -> Network:
        raise ModelError(f"cannot load it: {said}") from RuntimeError(said)

    with pytest.raises(ParityError, match="cannot load it"):
        load_checked(Loader(fail), answering(PLAIN), (8, 6), cache)
    assert cache.read() is None


def test_plain_paddle_that_cannot_load_is_an_error_and_no_result(cache: ParityCache) -> None:
    def fail() -> Network:
        raise OSError("weights are damaged")

    with pytest.raises(OSError, match="damaged"):
        load_checked(answering(PLAIN), Loader(fail), (8, 6), cache)
    assert cache.read() is None


def test_one_that_has_passed_is_not_checked_again(cache: ParityCache) -> None:
    with cache.locked():
        cache.write(Parity(True, 0.0))
    fast, plain = answering(PLAIN), answering(PLAIN)
    assert load_checked(fast, plain, (8, 6), cache).seen == []
    assert (fast.calls, plain.calls) == (1, 0)


def test_one_that_has_failed_is_not_loaded_again(cache: ParityCache) -> None:
    with cache.locked():
        cache.write(Parity(False, 0.5, "a score differs by 0.5"))
    fast, plain = answering(PLAIN), answering(PLAIN)
    with pytest.raises(ParityError, match=r"^a score differs by 0\.5$"):
        load_checked(fast, plain, (8, 6), cache)
    assert (fast.calls, plain.calls) == (0, 0)


def test_a_result_holds_for_its_model_and_library_alone(tmp_path: Path) -> None:
    with ParityCache(tmp_path, "sha256:1", "fast 1.0").locked():
        ParityCache(tmp_path, "sha256:1", "fast 1.0").write(Parity(True, 0.0))
    assert ParityCache(tmp_path, "sha256:1", "fast 1.0").read() == Parity(True, 0.0)
    assert ParityCache(tmp_path, "sha256:2", "fast 1.0").read() is None
    assert ParityCache(tmp_path, "sha256:1", "fast 1.1").read() is None


def test_a_result_on_scores_that_came_about_otherwise_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ParityCache(tmp_path, "sha256:1", "fast 1.0").write(Parity(True, 0.0))
    monkeypatch.setattr("worker.predictor.parity_cache.CHECK_VERSION", CHECK_VERSION + 1)
    assert ParityCache(tmp_path, "sha256:1", "fast 1.0").read() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"agrees": true, "deviation": 0}', b"\xff"]
)
def test_a_damaged_result_is_none(tmp_path: Path, content: bytes) -> None:
    store = ParityCache(tmp_path, "sha256:1", "fast 1.0")
    store.write(Parity(True, 0.0))
    (kept,) = tmp_path.glob("*.json")
    kept.write_bytes(content)
    assert store.read() is None
    store.write(Parity(False, 0.5, "why"))
    kept_now = {"agrees": False, "deviation": 0.5, "problem": "why"}
    assert json.loads(kept.read_text()) == kept_now


def test_without_a_cache_the_check_is_made_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ParityCache(tmp_path / "file" / "parity", "sha256:1", "fast 1.0")
    for _ in range(2):
        fast, plain = answering(PLAIN), answering(PLAIN)
        load_checked(fast, plain, (8, 6), store)
        assert (fast.calls, plain.calls) == (1, 1)


def test_rounding_agrees() -> None:
    parity = compare(PLAIN + np.float32(9e-4), PLAIN)
    assert parity.agrees
    assert parity.deviation == pytest.approx(9e-4, rel=1e-3)


def test_another_best_class_disagrees_however_close() -> None:
    flat = np.array([[0.0010, 0.0012]], np.float32)
    parity = compare(flat[:, ::-1], flat)
    assert not parity.agrees
    assert parity.problem == "another class is the best one"


def test_classes_equally_good_may_change_places() -> None:
    tied = np.array([[0.40001, 0.4, 0.19999]], np.float32)
    assert compare(tied[:, [1, 0, 2]], tied).agrees


@pytest.mark.parametrize("shape", [(2, 4), (1, 3)])
def test_another_shape_disagrees(shape: tuple[int, int]) -> None:
    problem = f"it answers with shape {shape}, not (2, 3)"
    assert compare(np.zeros(shape, np.float32), PLAIN) == Parity(False, 1.0, problem)


def test_no_number_disagrees() -> None:
    assert not compare(np.full_like(PLAIN, np.nan), PLAIN).agrees


def test_probes_are_four_different_images_of_any_size() -> None:
    crops = probe_crops((224, 224))
    assert crops.shape == (4, 224, 224, 3)
    np.testing.assert_array_equal(crops, probe_crops((224, 224)))
    steps = [float(np.abs(np.diff(crop.astype(int), axis=1)).mean()) for crop in crops]
    assert steps == sorted(steps)
    assert crops.std(axis=(1, 2, 3)).min() > 20
    assert probe_crops((3, 5)).shape == (4, 3, 5, 3)
    assert probe_crops((1, 1)).shape == (4, 1, 1, 3)
