"""Which backend is chosen: one that answers rightly, the fastest, and without a race if known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.cache import CACHE_VARIABLE
from worker.device import CPU, Device
from worker.errors import ModelError, SettingsError
from worker.model import ModelSpec, load_model_spec
from worker.predict import fastest
from worker.predict.fastest import load_fastest
from worker.predictor import loading
from worker.predictor.backends import Backend
from worker.predictor.backends.paddle import PaddleBackend

Batch = npt.NDArray[np.float32]


@pytest.fixture
def spec(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A real model, and a cache of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return load_model_spec(model_dir)


@pytest.fixture
def offer(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, type[Backend]]], None]:
    """Makes backends of the test the only candidates; they need no conversion."""

    def offer(candidates: dict[str, type[Backend]]) -> None:
        made = {name: lambda _, __, kind=kind: kind() for name, kind in candidates.items()}
        monkeypatch.setattr(loading, "ONNX_BACKENDS", made)
        monkeypatch.setattr(fastest, "installed_backends", lambda: tuple(candidates))
        monkeypatch.setattr(loading, "to_onnx", lambda spec, _: spec.program)
        monkeypatch.setattr(fastest, "RACE", 0.25)

    _ = spec
    return offer


def remembering(model: ModelSpec) -> type[Backend]:
    """A backend that is right and very fast: it computes what it has not seen, once."""
    plain = PaddleBackend(model, CPU, 1, onednn=False)
    seen: dict[bytes, Batch] = {}

    class Remembering:
        name = "remembering"

        def run(self, batch: Batch) -> Batch:
            key = batch.tobytes()
            if key not in seen:
                seen[key] = plain.run(batch)
            return seen[key]

    return Remembering


class Wrong:
    """As fast as can be, and certain of class 0."""

    name = "wrong"

    def run(self, batch: Batch) -> Batch:
        return np.eye(1, 1000, dtype=np.float32).repeat(len(batch), axis=0)


class Broken:
    name = "broken"

    def run(self, batch: Batch) -> Batch:
        raise RuntimeError(f"unsupported shape {batch.shape}")


def test_the_fastest_of_the_right_ones_wins_and_is_taken_without_a_race_from_then_on(
    spec: ModelSpec,
    offer: Callable[[dict[str, type[Backend]]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer({"wrong": Wrong, "broken": Broken, "remembering": remembering(spec)})
    assert load_fastest(spec, CPU, 1, batch=2).backend == "remembering"

    def race(*_: object) -> None:
        raise AssertionError("raced again")

    monkeypatch.setattr(fastest, "_race", race)
    assert load_fastest(spec, CPU, 1, batch=2).backend == "remembering"
    with pytest.raises(AssertionError, match="raced again"):
        load_fastest(spec, CPU, 1, batch=16)  # another batch, another choice


def test_paddle_itself_wins_when_no_candidate_is_right(
    spec: ModelSpec, offer: Callable[[dict[str, type[Backend]]], None]
) -> None:
    offer({"wrong": Wrong, "broken": Broken})
    for _ in range(2):
        assert load_fastest(spec, CPU, 1, batch=1).backend == "paddle+onednn"


@pytest.mark.parametrize("content", [b"wrong", b"nonsense", b"\xff"])
def test_a_kept_choice_that_is_of_no_use_is_made_again(
    spec: ModelSpec,
    offer: Callable[[dict[str, type[Backend]]], None],
    tmp_path: Path,
    content: bytes,
) -> None:
    offer({"wrong": Wrong})
    load_fastest(spec, CPU, 1, batch=1)
    (kept,) = (tmp_path / "fastest").iterdir()
    assert kept.read_text() == "paddle"
    kept.write_bytes(content)
    assert load_fastest(spec, CPU, 1, batch=1).backend == "paddle+onednn"
    assert kept.read_text() == "paddle"


def test_nothing_to_choose_from_says_what_to_install(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install '\.\[hpip\]'|Python 3\.13"):
        load_fastest(spec, CPU, 1, batch=1)


def test_other_devices_are_paddles(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match=r"^gpu:0: the installed paddlepaddle has no CUDA"):
        load_fastest(spec, Device("gpu", (0,)), 1, batch=1)
