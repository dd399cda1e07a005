"""A predictor process that was taken over can do its owner no harm by what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from worker.errors import PredictorCrashedError, PredictorError, PredictorTimeoutError
from worker.inference.slot import Slot

MakeSlot = Callable[..., Slot]

BOUND = 10.0
CROP = np.zeros((224, 224, 3), np.uint8)

HOSTILE = """
import json, mmap, os, pickle, socket, struct, sys

_, end, memory, path, trick = sys.argv[1:]
channel, memory = socket.socket(fileno=int(end)), int(memory)

def receive():
    length, = struct.unpack("!I", channel.recv(4, socket.MSG_WAITALL))
    return channel.recv(length, socket.MSG_WAITALL)

def send(data):
    channel.sendall(struct.pack("!I", len(data)) + data)

class Trap:
    def __reduce__(self):
        return os.mkdir, (path,)

receive()
if trick == "classes":
    send(b'{"Loaded": {"classes": 1152921504606846976, "backend": "paddle"}}')
    receive()
if trick == "ran first":
    send(b'{"Ran": {"seconds": 0, "cpu_seconds": 0}}')
    receive()
send(b'{"Loaded": {"classes": 1000, "backend": "paddle"}}')
receive()
if trick == "pickle":
    send(pickle.dumps(Trap()))
elif trick == "half":
    channel.sendall(struct.pack("!I", 100) + b'{"Ran": ')
elif trick == "huge":
    channel.sendall(struct.pack("!I", 2**32 - 1))
elif trick == "loaded":
    send(b'{"Loaded": {"classes": 1000, "backend": "paddle"}}')
elif trick == "nan":
    size = os.fstat(memory).st_size
    with mmap.mmap(memory, size) as mapped:
        mapped[-16000:] = struct.pack("4000f", *[float("nan")] * 4000)
    send(b'{"Ran": {"seconds": 0, "cpu_seconds": 0}}')
elif trick == "shrink":
    try:
        os.ftruncate(memory, 0)
    except PermissionError:
        send(b'{"Failed": {"why": "it is sealed", "unfit": true}}')
receive()
"""


def gone(ended: psutil.Process) -> bool:
    ended.wait(BOUND)
    return not ended.is_running()


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """What a pickle would make, if it were loaded."""
    return tmp_path / "trap"


@pytest.fixture
def hostile(trap: Path, make_slot: MakeSlot, monkeypatch: pytest.MonkeyPatch) -> MakeSlot:
    """Makes slots whose process plays a trick on its owner."""

    def make(trick: str, **options: float) -> Slot:
        def command(_: str, *arguments: str) -> list[str]:
            return [sys.executable, "-c", HOSTILE, *arguments, str(trap), trick]

        monkeypatch.setattr("worker.runtime.processes.module_command", command)
        return make_slot(**options)

    return make


@pytest.mark.parametrize(
    ("trick", "why"),
    [
        ("pickle", "not JSON"),
        ("huge", "4294967295 bytes"),
        ("loaded", "no scores"),
        ("nan", "no scores"),
    ],
)
def test_nonsense_ends_the_process_and_costs_a_batch(
    hostile: MakeSlot, trap: Path, trick: str, why: str
) -> None:
    slot = hostile(trick)
    slot.start()
    ended = psutil.Process(slot.pid)
    with pytest.raises(PredictorCrashedError, match=f"nonsense .*{why}"):
        slot.run([CROP])
    assert gone(ended)
    assert not slot.running
    assert not trap.exists()


@pytest.mark.parametrize("trick", ["classes", "ran first"])
def test_nonsense_instead_of_a_model_ends_the_process(hostile: MakeSlot, trick: str) -> None:
    before = psutil.Process().children()
    with pytest.raises(PredictorCrashedError, match="nonsense"):
        hostile(trick).start()
    assert psutil.Process().children() == before


def test_half_an_answer_is_waited_for_no_longer_than_a_whole_one(hostile: MakeSlot) -> None:
    slot = hostile("half", timeout=0.5)
    slot.start()
    ended = psutil.Process(slot.pid)
    with pytest.raises(PredictorTimeoutError, match=r"within 0\.5 s"):
        slot.run([CROP])
    assert gone(ended)


def test_memory_that_the_owner_reads_cannot_be_taken_away(hostile: MakeSlot) -> None:
    slot = hostile("shrink")
    slot.start()
    with pytest.raises(PredictorError, match="it is sealed"):
        slot.run([CROP])
