"""Real predictor processes: started, run, broken in every way, and always gone afterwards."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from worker.device import CPU
from worker.errors import ModelError, PredictorCrashedError, PredictorError, PredictorTimeoutError
from worker.failpoints import Failpoints
from worker.inference.slot import Slot
from worker.model import ModelSpec, load_model_spec
from worker.predictor.loading import load_predictor

MakeSlot = Callable[..., Slot]
Crops = list[npt.NDArray[np.uint8]]

RED, GREEN, BLUE = (
    np.full((224, 224, 3), colour, np.uint8) for colour in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
)
RAISES, CRASHES, HANGS = RED, GREEN, BLUE
FAILPOINTS = Failpoints(
    actions=(
        ((255, 0, 0), "predictor.raise"),
        ((0, 255, 0), "predictor.kill"),
        ((0, 0, 255), "predictor.hang"),
    )
)
BOUND = 10.0
"""Seconds within which an ended process must be gone."""


@pytest.fixture(scope="module")
def shared(spec: ModelSpec) -> Iterator[Slot]:
    """One slot for all tests that leave its process up, or do not mind when it starts anew."""
    slot = Slot(
        spec, CPU, threads=1, capacity=4, timeout=30, start_timeout=60, failpoints=FAILPOINTS
    )
    yield slot
    slot.kill()


@pytest.fixture
def slot(shared: Slot) -> Slot:
    shared.start()
    return shared


def process(slot: Slot) -> psutil.Process:
    assert slot.pid is not None
    return psutil.Process(slot.pid)


def gone(ended: psutil.Process) -> bool:
    """Whether the process ends in time; one that waits to be reaped has not."""
    try:
        ended.wait(BOUND)
    except psutil.TimeoutExpired:
        return False
    return not ended.is_running()


def test_answers_are_those_of_a_predictor_in_this_process(
    slot: Slot, spec: ModelSpec, crops: Crops
) -> None:
    scores, seconds = slot.run(crops)
    expected = load_predictor(spec, CPU, 1).scores(np.stack(crops))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
    assert 0 < seconds < BOUND
    first, _ = slot.run(crops[:1])
    assert first.shape == (1, 1000)
    np.testing.assert_allclose(first[0], expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_batch_in_parts_is_answered_alike(
    slot: Slot, crops: Crops, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    expected, _ = slot.run(crops)
    assert len(crops) == 4
    monkeypatch.setattr(slot, "part", part)
    scores, _ = slot.run(crops)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_answers_are_copies_that_the_next_batch_does_not_change(slot: Slot, crops: Crops) -> None:
    scores, _ = slot.run(crops[:1])
    before = scores.copy()
    slot.run(crops[1:2])
    np.testing.assert_array_equal(scores, before)


def test_all_threads_of_the_process_come_after_those_of_this_one(slot: Slot, crops: Crops) -> None:
    slot.run(crops)
    expected = min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)
    found = set()
    for thread in process(slot).threads():
        with suppress(ProcessLookupError):  # it has ended since
            found.add(os.getpriority(os.PRIO_PROCESS, thread.id))
    assert found == {expected}


def test_starting_twice_keeps_the_process(slot: Slot) -> None:
    pid = slot.pid
    slot.start()
    assert slot.pid == pid


def test_an_error_of_the_network_leaves_the_process_up(slot: Slot, crops: Crops) -> None:
    pid = slot.pid
    with pytest.raises(PredictorError, match="RuntimeError: failpoint") as raised:
        slot.run([*crops[:1], RAISES])
    assert type(raised.value) is PredictorError
    assert slot.running
    assert slot.pid == pid
    assert slot.run(crops[:1])[0].shape == (1, 1000)


def test_a_crash_says_how_and_the_slot_can_start_anew(slot: Slot, crops: Crops) -> None:
    ended = process(slot)
    with pytest.raises(PredictorCrashedError, match="signal 9"):
        slot.run([CRASHES])
    assert gone(ended)
    assert not slot.running
    assert slot.pid is None
    slot.start()
    assert slot.run(crops[:1])[0].shape == (1, 1000)


def test_a_process_killed_between_batches_is_noticed_by_the_next(slot: Slot, crops: Crops) -> None:
    ended = process(slot)
    ended.kill()
    with pytest.raises(PredictorCrashedError, match="signal 9"):
        slot.run(crops)
    assert gone(ended)


def test_a_process_that_hangs_is_killed_in_time(make_slot: MakeSlot, crops: Crops) -> None:
    slot = make_slot(failpoints=FAILPOINTS, timeout=0.5)
    slot.start()
    ended = process(slot)
    with pytest.raises(PredictorTimeoutError, match=r"within 0\.5 s and was killed"):
        slot.run([*crops[:1], HANGS])
    assert gone(ended)
    assert not slot.running


def test_a_stopped_process_counts_as_one_that_hangs(make_slot: MakeSlot, crops: Crops) -> None:
    slot = make_slot(timeout=0.5)
    slot.start()
    ended = process(slot)
    ended.suspend()
    with pytest.raises(PredictorTimeoutError):
        slot.run(crops)
    assert gone(ended)


def test_loading_for_too_long_ends_the_process(make_slot: MakeSlot) -> None:
    slot = make_slot(start_timeout=0.05)
    before = psutil.Process().children()
    with pytest.raises(PredictorTimeoutError, match=r"within 0\.05 s"):
        slot.start()
    assert slot.pid is None
    assert psutil.Process().children() == before


def test_a_damaged_model_is_named_and_leaves_no_process(
    make_slot: MakeSlot, model_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    (model / "inference.pdiparams").write_bytes(b"no weights")
    slot = make_slot(load_model_spec(model))
    before = psutil.Process().children()
    with pytest.raises(ModelError) as raised:
        slot.start()
    assert str(model / "inference.json") in str(raised.value)
    assert slot.pid is None
    assert psutil.Process().children() == before


def test_ending_twice_is_ending_once(slot: Slot) -> None:
    ended = process(slot)
    slot.kill()
    slot.kill()
    assert gone(ended)
    assert not slot.running


def test_running_without_a_process_is_a_crash_not_a_wait(make_slot: MakeSlot, crops: Crops) -> None:
    with pytest.raises(PredictorCrashedError, match="not running"):
        make_slot().run(crops)


def test_a_slot_that_is_forgotten_leaves_no_process(spec: ModelSpec) -> None:
    slot = Slot(
        spec, CPU, threads=1, capacity=1, timeout=9, start_timeout=60, failpoints=Failpoints()
    )
    slot.start()
    ended = process(slot)
    del slot
    assert gone(ended)


def test_restarts_leak_no_descriptor_and_no_memory_map(make_slot: MakeSlot, crops: Crops) -> None:
    slot = make_slot()

    def held() -> tuple[int, int]:
        gc.collect()  # what earlier tests left behind is none of this one's
        this = psutil.Process()
        return this.num_fds(), sum("memfd" in entry.path for entry in this.memory_maps(False))

    before = held()
    for _ in range(3):
        slot.start()
        slot.run(crops)
        slot.kill()
    assert held() == before


def test_interrupting_a_busy_slot_ends_its_wait_and_it_stays_down(
    make_slot: MakeSlot,
) -> None:
    slot = make_slot(failpoints=FAILPOINTS)
    slot.start()
    ended = process(slot)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            slot.run([HANGS])
        except PredictorError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    slot.interrupt()
    thread.join(BOUND)
    assert not thread.is_alive()
    assert isinstance(errors[0], PredictorCrashedError)
    assert gone(ended)
    before = psutil.Process().children()
    with pytest.raises(PredictorCrashedError, match="interrupted"):
        slot.start()
    assert psutil.Process().children() == before


def test_signals_to_the_whole_group_do_not_reach_the_batch(slot: Slot, crops: Crops) -> None:
    # Loading Paddle sets handlers of its own, so being up is part of the test.
    pid = slot.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert slot.run(crops[:1])[0].shape == (1, 1000)
    assert slot.pid == pid


def test_the_signals_of_the_worker_itself_stay_as_they_were(make_slot: MakeSlot) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(PredictorTimeoutError):
        make_slot(start_timeout=0.01).start()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_what_a_crashing_network_prints_is_logged_and_no_output_of_the_worker(
    make_slot: MakeSlot, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "native")
    slot = make_slot()
    slot.start()
    pid = slot.pid
    # Paddle's own handler prints a stack, on standard output.
    process(slot).send_signal(signal.SIGSEGV)
    with pytest.raises(PredictorCrashedError, match="signal 11"):
        slot.run([RED])
    said = [record for record in caplog.records if record.name == "native.predictor"]
    assert any("SIGSEGV" in record.getMessage() for record in said)
    assert {vars(record)["pid"] for record in said} == {pid}
    assert capfd.readouterr() == ("", "")


def test_a_module_in_the_current_directory_is_not_taken_for_ours(
    make_slot: MakeSlot, crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("worker", "json", "numpy", "paddle"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was executed')")
    monkeypatch.chdir(tmp_path)
    slot = make_slot()
    slot.start()
    assert slot.run(crops[:1])[0].shape == (1, 1000)


def ended(adopted: psutil.Process) -> bool:
    """Whether a process which is no child of this one ends in time; its zombie may be left."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if adopted.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
                continue
        return True
    return False


OWNER = """
import sys, time
from pathlib import Path
from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.slot import Slot
from worker.model import load_model_spec

slot = Slot(load_model_spec(Path(sys.argv[1])), CPU, threads=1, capacity=1, timeout=3600,
            start_timeout=60, failpoints=Failpoints(actions=(((0, 0, 0), "predictor.hang"),)))
slot.start()
print(slot.pid, flush=True)
if sys.argv[2] == "busy":
    import numpy as np
    slot.run([np.zeros((224, 224, 3), np.uint8)])
time.sleep(3600)
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_process_dies_with_a_worker_that_is_killed(model_dir: Path, state: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(model_dir), state],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as owner:
        assert owner.stdout is not None
        predictor = psutil.Process(int(owner.stdout.readline()))
        assert predictor.is_running()
        owner.kill()
        assert ended(predictor)


def test_any_number_of_labels_reaches_no_process(make_slot: MakeSlot, spec: ModelSpec) -> None:
    many = replace(spec, labels=tuple(f"a long label of class {n}" for n in range(200_000)))
    # Enough to fill the socket while the process is still loading, and so to wait without bound.
    with pytest.raises(PredictorTimeoutError):
        make_slot(many, start_timeout=0.01).start()


def test_an_image_alone_on_more_threads_is_answered_alike(
    make_slot: MakeSlot, crops: Crops
) -> None:
    slot = make_slot()
    slot.choose("paddle", solo_threads=2)
    slot.start()
    first = slot.pid
    expected, _ = slot.run(crops[:1])
    slot.prepare_solo()
    alone, _ = slot.run(crops[:1], solo=True)
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)
    slot.drop_solo()
    again, _ = slot.run(crops[:1])
    np.testing.assert_array_equal(again, expected)
    # Chosen as it is now, so that nothing is to be started anew.
    slot.choose("paddle")
    assert slot.pid == first


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a second core")
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_an_image_alone_keep_off_the_core_that_it_was_begun_on(
    make_slot: MakeSlot, crops: Crops, threads: int
) -> None:
    slot = make_slot(threads=threads)
    slot.choose("paddle", solo_threads=2)
    slot.start()
    pid = slot.pid
    assert pid is not None
    cores = os.sched_getaffinity(pid)
    slot.run(crops[:1])
    assert set(_cores_of_others(pid).values()) == {frozenset(cores)}
    slot.prepare_solo()
    for thread in _cores_of_others(pid):
        # As libraries do.
        os.sched_setaffinity(thread, cores)
    for _ in range(4):  # of many threads, some at a time
        slot.run(crops[:1], solo=True)
    assert {len(cores - each) for each in _cores_of_others(pid).values()} == {1}
    assert os.sched_getaffinity(pid) == cores
    if threads > 1:
        # What helps the batches of one slot is not bound by where an image alone was computed.
        for _ in range(4):
            slot.run(crops)
        assert set(_cores_of_others(pid).values()) == {frozenset(cores)}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a second core")
def test_threads_of_the_only_network_keep_off_the_core_of_an_image_alone(
    make_slot: MakeSlot, crops: Crops
) -> None:
    slot = make_slot(threads=2)
    slot.choose("paddle")
    slot.start()
    pid = slot.pid
    assert pid is not None
    cores = os.sched_getaffinity(pid)
    slot.run(crops[:1])  # its threads are there after that
    for _ in range(4):  # of many threads, some at a time
        slot.run(crops[:1])
    assert {len(cores - each) for each in _cores_of_others(pid).values()} == {1}
    for _ in range(4):
        slot.run(crops)
    assert set(_cores_of_others(pid).values()) == {frozenset(cores)}


def _cores_of_others(pid: int) -> dict[int, frozenset[int]]:
    """The cores that each thread of a process but its first one may run on."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended since
            found[int(thread.name)] = frozenset(os.sched_getaffinity(int(thread.name)))
    del found[pid]
    return found


def test_a_slot_says_what_computes(slot: Slot) -> None:
    slot.start()
    assert slot.backend == "paddle+onednn"


def test_the_process_is_told_no_secret(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKER_KAFKA__SASL__PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary@127.0.0.1:9")
    slot = Slot(
        spec, CPU, threads=2, capacity=1, timeout=30, start_timeout=60, failpoints=Failpoints()
    )
    try:
        slot.start()
        environment = process(slot).environ()
    finally:
        slot.kill()
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["PATH"] == os.environ["PATH"]
    assert not any("canary" in value for value in environment.values())
