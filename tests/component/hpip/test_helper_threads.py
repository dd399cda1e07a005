"""The threads of real libraries, which give them cores of their own, keep off the caller's core."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.protocol import BackendName
from worker.inference.slot import Slot
from worker.model import ModelSpec

BOUND = 10.0
"""Seconds within which all threads must rest on the right cores."""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a second core")
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_threads_that_rest_may_not_wake_on_the_core_of_the_first_one(
    spec: ModelSpec, crops: list[npt.NDArray[np.uint8]], backend: BackendName
) -> None:
    slot = Slot(
        spec, CPU, threads=1, capacity=1, timeout=30, start_timeout=60, failpoints=Failpoints()
    )
    try:
        slot.choose(backend, solo_threads=2)
        slot.start()
        slot.prepare_solo()
        pid = slot.pid
        assert pid is not None
        deadline = time.monotonic() + BOUND
        # An image sets right what the one before it has left, once threads have come to rest.
        while not _rest_off_one_core(pid):
            assert time.monotonic() < deadline
            slot.run(crops[:1], solo=True)
    finally:
        slot.kill()


def _rest_off_one_core(pid: int) -> bool:
    """Whether all threads but the first may run on all cores but one, before long."""
    cores = os.sched_getaffinity(pid)
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        kept_off = set()
        for path in Path(f"/proc/{pid}/task").iterdir():
            thread = int(path.name)
            with suppress(ProcessLookupError):  # it has ended since
                kept_off.add(len(cores - os.sched_getaffinity(thread)) if thread != pid else 1)
        if kept_off == {1}:
            return True
        time.sleep(0.001)
    return False
