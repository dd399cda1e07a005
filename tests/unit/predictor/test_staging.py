"""Which memory is page-locked, and that a worker goes on without."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from worker.device import CPU, Device
from worker.inference.protocol import SharedBatch
from worker.predictor.backends.cuda import CudaError
from worker.predictor.staging import lock_for
from worker.runtime.processes import anonymous_file

GPU = Device("gpu", (3,))


@pytest.fixture
def shared() -> Iterator[SharedBatch]:
    descriptor = anonymous_file()
    yield SharedBatch(descriptor, 2, (4, 5), 7)
    os.close(descriptor)


class Driver:
    """Keeps what is locked, or refuses."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.locked: list[tuple[int, int, int]] = []

    def lock_pages(self, index: int, address: int, size: int) -> None:
        if self.refusal:
            raise CudaError(self.refusal)
        self.locked.append((index, address, size))


def test_all_of_a_slots_memory_is_locked_for_its_gpu(
    shared: SharedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver()
    monkeypatch.setattr("worker.predictor.staging.load_driver", lambda: driver)
    assert lock_for(GPU, shared)
    ((index, address, size),) = driver.locked
    assert index == 3
    assert address == shared.crops.ctypes.data
    end = shared.scores.ctypes.data + shared.scores.nbytes
    assert address + size == end, "the scores are the last of it"


def test_without_it_batches_are_copied_and_the_log_says_so(
    shared: SharedBatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.predictor.staging.load_driver", lambda: Driver("no more of it"))
    with caplog.at_level(logging.WARNING):
        assert not lock_for(GPU, shared)
    assert "the memory of batches is not page-locked for gpu:3: no more of it" in caplog.text


def test_on_the_cpu_and_for_large_memory_nothing_is_asked_for(
    shared: SharedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> Driver:
        raise AssertionError("no driver is needed")

    monkeypatch.setattr("worker.predictor.staging.load_driver", never)
    assert not lock_for(CPU, shared)
    monkeypatch.setattr("worker.predictor.staging.MOST_BYTES", shared.size - 1)
    assert not lock_for(GPU, shared)
