"""Which of two ways to compute a model is taken, and what is remembered of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.predictor.parity import TOLERANCE, compare, probe_crops, trusted
from worker.predictor.parity_cache import JUDGEMENT, Verdict, VerdictStore

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
def verdicts(tmp_path: Path) -> VerdictStore:
    return VerdictStore(tmp_path / "agreement", "sha256:1", "fast 1.0")


def test_equal_answers_are_trusted_and_loaded_once(verdicts: VerdictStore) -> None:
    fast, plain = answering(PLAIN), answering(PLAIN)
    chosen = trusted(fast, plain, (8, 6), verdicts)
    assert (fast.calls, plain.calls) == (1, 1)
    (crops,) = chosen.seen
    np.testing.assert_array_equal(crops, probe_crops((8, 6)))


def test_wrong_answers_are_not_trusted(verdicts: VerdictStore) -> None:
    wrong = PLAIN + np.array([[TOLERANCE * 2, 0, 0], [0, 0, 0]], np.float32)
    assert trusted(answering(wrong), answering(PLAIN), (8, 6), verdicts).answer is PLAIN
    kept = verdicts.read()
    assert kept is not None
    assert not kept.agrees
    assert kept.deviation == pytest.approx(TOLERANCE * 2, rel=1e-3)


def test_one_that_cannot_load_is_not_trusted(verdicts: VerdictStore) -> None:
    def fail() -> Network:
        raise SystemError("no kernel for this")

    assert trusted(Loader(fail), answering(PLAIN), (8, 6), verdicts).answer is PLAIN
    assert verdicts.read() == Verdict(False, 1.0)


def test_a_reference_that_cannot_load_is_an_error_and_no_verdict(verdicts: VerdictStore) -> None:
    def fail() -> Network:
        raise OSError("weights are damaged")

    with pytest.raises(OSError, match="damaged"):
        trusted(answering(PLAIN), Loader(fail), (8, 6), verdicts)
    assert verdicts.read() is None


@pytest.mark.parametrize("agrees", [True, False])
def test_a_verdict_is_not_asked_for_twice(verdicts: VerdictStore, agrees: bool) -> None:
    with verdicts.locked():
        verdicts.write(Verdict(agrees, 0.0))
    fast, plain = answering(PLAIN), answering(PLAIN)
    assert trusted(fast, plain, (8, 6), verdicts).seen == []
    assert (fast.calls, plain.calls) == ((1, 0) if agrees else (0, 1))


def test_a_verdict_holds_for_its_model_and_library_alone(tmp_path: Path) -> None:
    with VerdictStore(tmp_path, "sha256:1", "fast 1.0").locked():
        VerdictStore(tmp_path, "sha256:1", "fast 1.0").write(Verdict(True, 0.0))
    assert VerdictStore(tmp_path, "sha256:1", "fast 1.0").read() == Verdict(True, 0.0)
    assert VerdictStore(tmp_path, "sha256:2", "fast 1.0").read() is None
    assert VerdictStore(tmp_path, "sha256:1", "fast 1.1").read() is None


def test_a_verdict_on_scores_that_came_about_otherwise_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    VerdictStore(tmp_path, "sha256:1", "fast 1.0").write(Verdict(True, 0.0))
    monkeypatch.setattr("worker.predictor.parity_cache.JUDGEMENT", JUDGEMENT + 1)
    assert VerdictStore(tmp_path, "sha256:1", "fast 1.0").read() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"agrees": true}', b"\xff"])
def test_a_damaged_verdict_is_none(tmp_path: Path, content: bytes) -> None:
    store = VerdictStore(tmp_path, "sha256:1", "fast 1.0")
    store.write(Verdict(True, 0.0))
    (kept,) = tmp_path.glob("*.json")
    kept.write_bytes(content)
    assert store.read() is None
    store.write(Verdict(False, 0.5))
    assert json.loads(kept.read_text()) == {"agrees": False, "deviation": 0.5}


def test_without_a_cache_the_check_is_made_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = VerdictStore(tmp_path / "file" / "agreement", "sha256:1", "fast 1.0")
    for _ in range(2):
        fast, plain = answering(PLAIN), answering(PLAIN)
        trusted(fast, plain, (8, 6), store)
        assert (fast.calls, plain.calls) == (1, 1)


def test_rounding_agrees() -> None:
    verdict = compare(PLAIN + np.float32(9e-4), PLAIN)
    assert verdict.agrees
    assert verdict.deviation == pytest.approx(9e-4, rel=1e-3)


def test_another_best_class_disagrees_however_close() -> None:
    flat = np.array([[0.0010, 0.0012]], np.float32)
    assert not compare(flat[:, ::-1], flat).agrees


def test_classes_equally_good_may_change_places() -> None:
    tied = np.array([[0.40001, 0.4, 0.19999]], np.float32)
    assert compare(tied[:, [1, 0, 2]], tied).agrees


@pytest.mark.parametrize("shape", [(2, 4), (1, 3)])
def test_another_shape_disagrees(shape: tuple[int, int]) -> None:
    assert compare(np.zeros(shape, np.float32), PLAIN) == Verdict(False, 1.0)


def test_probes_are_four_different_images_of_any_size() -> None:
    crops = probe_crops((224, 224))
    assert crops.shape == (4, 224, 224, 3)
    np.testing.assert_array_equal(crops, probe_crops((224, 224)))
    steps = [float(np.abs(np.diff(crop.astype(int), axis=1)).mean()) for crop in crops]
    assert steps == sorted(steps)
    assert crops.std(axis=(1, 2, 3)).min() > 20
    assert probe_crops((3, 5)).shape == (4, 3, 5, 3)
    assert probe_crops((1, 1)).shape == (4, 1, 1, 3)
