"""Whether two models find room, told from what one of them takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.small_model import SPEC
from worker.app import model_memory
from worker.app.model_memory import MARGIN, MemoryShortageError, check_memory
from worker.model import ModelSpec
from worker.runtime.memory import FreeMemory

MIB = 1 << 20
PREDICTORS, IMAGES = (1, 2), (3, 4)
OWN = {1: 300 * MIB, 2: 200 * MIB, 3: 40 * MIB, 4: 10 * MIB}


def model(directory: Path, mib: int) -> ModelSpec:
    """One with so many MiB of weights, which take no room on the disk."""
    params = directory / f"{mib}.pdiparams"
    with params.open("wb") as file:
        file.truncate(mib * MIB)
    return replace(SPEC, params=params)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks a model beside one of 20 MiB that has two predictors."""
    monkeypatch.setattr(model_memory, "own_bytes", lambda pid: OWN.get(pid, 0))

    def check(mib: int, free: FreeMemory | None, pids: tuple[int, ...] = PREDICTORS) -> None:
        monkeypatch.setattr(model_memory, "free_memory", lambda: free)
        engine = SimpleNamespace(
            spec=model(tmp_path, 20),
            pool=SimpleNamespace(pids=pids),
            images=SimpleNamespace(pids=IMAGES),
        )
        check_memory(cast("Any", engine), model(tmp_path, mib), slots=2)

    return check


def test_a_model_of_the_same_size_needs_what_the_first_one_has(room: Any) -> None:
    need = sum(OWN.values()) + MARGIN
    room(20, FreeMemory(need))
    with pytest.raises(MemoryShortageError, match=f"about {need // MIB} MiB more, and"):
        room(20, FreeMemory(need - 1))


def test_larger_weights_count_for_each_predictor(room: Any) -> None:
    need = sum(OWN.values()) + MARGIN + 2 * 3 * 80 * MIB
    room(100, FreeMemory(need))
    with pytest.raises(MemoryShortageError):
        room(100, FreeMemory(need - 1))


def test_a_smaller_model_needs_less(room: Any) -> None:
    room(1, FreeMemory(sum(OWN.values()) + MARGIN - 2 * 19 * MIB))


def test_a_predictor_that_is_down_just_now_will_be_there_again(room: Any) -> None:
    with pytest.raises(MemoryShortageError):
        room(20, FreeMemory(2 * OWN[1] + 50 * MIB + MARGIN - 1), (1,))
    room(20, FreeMemory(2 * OWN[1] + 50 * MIB + MARGIN), (1,))


def test_the_refusal_has_the_figures_and_says_what_to_change(room: Any) -> None:
    with pytest.raises(MemoryShortageError) as refused:
        room(20, FreeMemory(100 * MIB, 2048 * MIB))
    assert "100 MiB are free within this container's limit of 2048 MiB" in str(refused.value)
    assert "predictor.slots" in str(refused.value)
    with pytest.raises(MemoryShortageError, match="free on this machine"):
        room(20, FreeMemory(100 * MIB))


def test_where_nothing_tells_how_much_is_free_it_is_tried(room: Any) -> None:
    room(1000, None)
