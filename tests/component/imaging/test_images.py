"""Real image processes: killed, hung, short of memory; what is lost and who is blamed."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.support.images import base64_of, colour_png, noise_jpeg
from worker.contract.jobs import EncodedImage, RawImage
from worker.errors import JobError, Reason, Stage
from worker.failpoints import Failpoints
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.imaging.call import Call
from worker.imaging.images import ImageProcesses
from worker.imaging.prepared import PreparedImage
from worker.imaging.process import Role
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.retry import Retry
from worker.settings import DecodeSettings

BOUND = 60.0
GOOD = RawImage(noise_jpeg(0))
LARGE = RawImage(noise_jpeg(0, 4000, 3000))
"""Its pixels take 36 MB: enough to be told before they are decoded."""
FAULTS = {
    "segv": "#ff0000",
    "kill": "#00ff00",
    "loop": "#0000ff",
    "memory": "#ffff00",
    "hang": "#00ffff",
    "parent": "#ff00ff",
}
BAD = {name: RawImage(colour_png(colour)) for name, colour in FAULTS.items()}


def failpoints(stage: str) -> Failpoints:
    faults = ",".join(f"{stage}.{name}={colour[1:]}" for name, colour in FAULTS.items())
    return Failpoints.from_environ({"WORKER_FAILPOINTS": faults})


class Bench:
    """Image processes for the run's model, and what they did."""

    def __init__(self, spec: ModelSpec, stage: str, options: dict[str, Any]) -> None:
        self.metrics = Metrics()
        count, cells = options.pop("count", 1), options.pop("cells", 8)
        retry = options.pop("retry", Retry(0.0, 0.0, attempts=3))
        self.limits = DecodeSettings(**options)
        self.images = ImageProcesses(
            spec, count, cells, self.limits, self.metrics, failpoints(stage), retry=retry
        )
        self.images.show()

    async def answer(self, image: RawImage, side: int | None = 64) -> bytes | JobError:
        """Take an image all the way."""
        try:
            prepared = await self.images.prepare(image, 1.0, side)
            try:
                if prepared.picture is None:
                    return bytes(prepared.crop)
                return bytes(await self.images.draw(prepared.picture, "cat", 0.5, 85))
            finally:
                self.images.release(prepared)
        except JobError as error:
            return error

    async def answers(self, images: Iterable[RawImage]) -> list[bytes | JobError]:
        async with asyncio.timeout(BOUND):
            return await asyncio.gather(*map(self.answer, images))

    async def failure(self, image: RawImage) -> JobError:
        async with asyncio.timeout(BOUND):
            error = await self.answer(image)
        assert isinstance(error, JobError)
        return error

    def value(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"classify_{name}", labels)
        assert value is not None, name
        return value

    def restarts(self) -> dict[str, float]:
        causes = ("crash", "killed", "cpu", "timeout", "parent")
        counts = {
            cause: self.value("image_process_restarts_total", cause=cause) for cause in causes
        }
        return {cause: count for cause, count in counts.items() if count}

    def workers(self) -> list[int]:
        """The image processes, without the one that forks them."""
        return self.images.pids[1:]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():  # noqa: ASYNC110 - a process's end tells nobody
                await asyncio.sleep(0.005)

    async def up(self) -> int:
        """Wait until the one regular process is up; its pid."""
        await self.until(lambda: len(self.workers()) == 1)
        return self.workers()[0]


Start = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def start(spec: ModelSpec) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(stage: str = "decode", **options: Any) -> Bench:
            bench = Bench(spec, stage, options)
            stack.callback(bench.images.stop)
            await bench.images.start()
            return bench

        yield start


@pytest.fixture
def nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a process is stopped, it keeps its place."""
    monkeypatch.setattr("worker.imaging.slow_calls.ASIDE_AFTER", 2 * BOUND)


def expected(spec: ModelSpec, image: RawImage, side: int) -> tuple[np.ndarray[Any, Any], bytes]:
    transform = Transform(spec.resize, spec.crop, spec.channels)
    prepared = prepare(image.data, transform, DecodeSettings(), side)
    assert prepared.picture is not None
    return prepared.crop, draw(prepared.picture, "cat", 0.5, 85)


async def test_a_refused_image_is_gone_without_collecting_garbage(start: Start) -> None:
    def alive() -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, Call | JobError)]

    bench = await start()
    gc.collect()
    others = alive()  # such as parameters of other tests
    gc.disable()
    try:
        refused = (await bench.failure(RawImage(b"no image"))).reason
        await asyncio.sleep(0)  # the loop still holds what has woken this task
        held = [one for one in alive() if not any(one is other for other in others)]
    finally:
        gc.enable()
    assert refused is Reason.NOT_AN_IMAGE
    assert held == []


async def test_answers_are_those_of_this_process(
    start: Start, spec: ModelSpec, tmp_path: Path
) -> None:
    bench = await start()
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(GOOD.data)
    crop, jpeg = expected(spec, GOOD, 64)
    for image in (GOOD, path, EncodedImage(base64_of(GOOD.data))):
        prepared = await bench.images.prepare(image, 1.0, 64)
        np.testing.assert_array_equal(prepared.crop, crop)
        assert prepared.picture is not None
        assert bytes(await bench.images.draw(prepared.picture, "cat", 0.5, 85)) == jpeg
        bench.images.release(prepared)
    whole = await bench.images.prepare(LARGE, 1.0, None, whole=True)
    assert whole.pixels is not None
    assert whole.pixels.shape == (3000, 4000, 3)
    again = await bench.images.prepare(whole.pixels, 1.0, None, whole=True)
    np.testing.assert_array_equal(again.crop, whole.crop)
    for prepared in (whole, again):
        bench.images.release(prepared)
    assert bench.images.cells.in_use == 0


async def test_a_picture_that_is_encoded_early_is_the_same(start: Start, spec: ModelSpec) -> None:
    bench = await start(count=2)
    _, jpeg = expected(spec, LARGE, 1000)
    async with asyncio.timeout(BOUND):
        for _ in range(3):
            prepared = await bench.images.prepare(LARGE, 1.0, 1000, quality=85)
            assert prepared.picture is not None
            assert bytes(await bench.images.draw(prepared.picture, "cat", 0.5, 85)) == jpeg
            bench.images.release(prepared)


async def test_image_processes_come_after_this_one(start: Start) -> None:
    bench = await start()
    await bench.answer(GOOD)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, await bench.up()) == min(own + 5, 19)


@pytest.mark.parametrize("stage", ["decode", "draw"])
async def test_a_fault_costs_its_image_alone(start: Start, stage: str) -> None:
    bench = await start(stage, cells=16, count=2, cpu_seconds=1)
    faults = ("segv", "kill", "loop", "memory")
    images = [GOOD] * 20
    for place, name in enumerate(faults):
        images.insert(5 * place, BAD[name])
    answers = await bench.answers(images)
    good = await bench.answer(GOOD)
    errors = {}
    for image, answer in zip(images, answers, strict=True):
        if image is GOOD:
            assert answer == good
        else:
            assert isinstance(answer, JobError)
            errors[image] = answer
    for name in faults:
        failure = errors[BAD[name]].as_failure()
        assert (failure.reason, failure.stage) == (Reason.CORRUPT_IMAGE, Stage(stage)), name
    assert "(SIGSEGV)" in errors[BAD["segv"]].message
    assert "(SIGKILL)" in errors[BAD["kill"]].message
    assert errors[BAD["kill"]].attempts == 2
    assert "more than 1 s of processor time" in errors[BAD["loop"]].message
    assert "needs more than 3072 MiB of memory" in errors[BAD["memory"]].message
    assert bench.restarts() == {"crash": 2, "killed": 2, "cpu": 1}
    assert bench.images.cells.in_use == 0
    assert not bench.images.stalled


async def test_thirty_deadly_images_in_a_row(start: Start) -> None:
    bench = await start(cells=64)
    answers = await bench.answers([BAD["segv"]] * 30 + [GOOD] * 30)
    assert all(isinstance(answer, JobError) for answer in answers[:30])
    assert answers[30:] == [await bench.answer(GOOD)] * 30
    assert bench.restarts() == {"crash": 60}


@pytest.mark.usefixtures("nothing_aside")
async def test_an_image_whose_process_is_killed_once_is_answered(start: Start) -> None:
    bench = await start()
    pid = await bench.up()
    os.kill(pid, signal.SIGSTOP)
    running = [asyncio.create_task(bench.answer(GOOD)) for _ in range(4)]
    await bench.until(lambda: bench.value("queued_images", stage="decode") == 3)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(BOUND):
        assert set(await asyncio.gather(*running)) == {await bench.answer(GOOD)}
    assert bench.restarts() == {"killed": 1}


async def test_a_picture_that_is_lost_is_made_again(start: Start) -> None:
    bench = await start()
    prepared = await bench.images.prepare(GOOD, 1.0, 64)
    assert prepared.picture is not None
    os.kill(await bench.up(), signal.SIGKILL)
    jpeg = await bench.images.draw(prepared.picture, "cat", 0.5, 85)
    bench.images.release(prepared)
    assert jpeg == await bench.answer(GOOD)
    assert bench.images.cells.in_use == 0


async def test_calls_that_hang_make_no_other_wait(start: Start) -> None:
    bench = await start(timeout=BOUND)
    hung = [asyncio.create_task(bench.answer(BAD["hang"])) for _ in range(2)]
    await bench.until(lambda: bench.value("queued_images", stage="decode") > 0)
    good = await bench.answers([GOOD] * 20)
    assert len(set(good)) == 1
    assert isinstance(good[0], bytes)
    assert not any(task.done() for task in hung)
    assert not bench.images.stalled
    assert bench.value("image_processes") == 1
    busy = bench.value("image_processes_busy_seconds_total")
    assert busy <= bench.value("image_processes_up_seconds_total"), "all three count"
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


async def test_calls_that_hang_hold_no_cell_that_others_wait_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.imaging.slow_calls.ASIDE_AFTER", 0.3)
    bench = await start(cells=2, timeout=BOUND)
    hung = [asyncio.create_task(bench.answer(BAD["hang"])) for _ in range(3)]
    await bench.until(lambda: bench.value("queued_images", stage="decode") > 0)
    assert len(set(await bench.answers([GOOD] * 5))) == 1
    assert not any(task.done() for task in hung)
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


async def test_a_call_that_hangs_is_given_up(start: Start) -> None:
    bench = await start(timeout=1.0)
    failure = (await bench.failure(BAD["hang"])).as_failure()
    assert (failure.reason, failure.stage) == (Reason.CORRUPT_IMAGE, Stage.DECODE)
    assert "the decode stage did not end within 1 s" in failure.message
    assert failure.attempts == 2
    assert bench.restarts() == {"timeout": 2}
    assert isinstance(await bench.answer(GOOD), bytes)
    assert 2.0 <= bench.value("image_processes_busy_seconds_total") < BOUND


@pytest.mark.usefixtures("nothing_aside")
async def test_cells_bound_how_far_decoding_runs_ahead(start: Start) -> None:
    bench = await start(cells=3, count=2)
    ready: list[PreparedImage] = []

    async def prepare_one() -> None:
        ready.append(await bench.images.prepare(GOOD, 1.0, None))

    running = [asyncio.create_task(prepare_one()) for _ in range(10)]
    for count in range(3, 11):
        await bench.until(partial(_has, ready, count))
        assert bench.images.cells.in_use == 3
        assert bench.value("queued_images", stage="decode") == 10 - count
        bench.images.release(ready[count - 3])
    await asyncio.gather(*running)


def _has(ready: list[PreparedImage], count: int) -> bool:
    return len(ready) == count


async def test_the_most_urgent_image_is_decoded_first(start: Start) -> None:
    bench = await start(cells=1)
    first = await bench.images.prepare(GOOD, 1.0, None)
    order: list[float] = []

    async def prepare_one(urgency: float) -> None:
        prepared = await bench.images.prepare(GOOD, urgency, None)
        order.append(urgency)
        bench.images.release(prepared)

    running = [asyncio.create_task(prepare_one(urgency)) for urgency in (5.0, 3.0, 9.0)]
    await bench.until(lambda: bench.value("queued_images", stage="decode") == 3)
    bench.images.release(first)
    await asyncio.gather(*running)
    assert order == [3.0, 5.0, 9.0]


async def test_pictures_that_nobody_wants_any_more_make_room(start: Start) -> None:
    bench = await start(memory=640 * 2**20)
    held = [await bench.images.prepare(LARGE, 1.0, 4000) for _ in range(5)]
    for prepared in held:
        bench.images.release_crop(prepared)
    waiting = asyncio.create_task(bench.images.prepare(GOOD, 1.0, None))
    await bench.until(lambda: bench.value("queued_images", stage="decode") == 1)
    bench.images.release(held[0])
    async with asyncio.timeout(BOUND):
        bench.images.release(await waiting)


@pytest.mark.usefixtures("nothing_aside")
@pytest.mark.parametrize("side", [None, 64])
async def test_cancelling_withdraws_an_image_wherever_it_is(start: Start, side: int | None) -> None:
    bench = await start(cells=4)
    pid = await bench.up()
    os.kill(pid, signal.SIGSTOP)
    running = [asyncio.create_task(bench.answer(GOOD, side)) for _ in range(8)]
    await bench.until(lambda: bench.value("queued_images", stage="decode") == 7)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert bench.value("queued_images", stage="decode") == 0
    os.kill(pid, signal.SIGCONT)
    await bench.until(lambda: bench.images.cells.in_use == 0)
    assert isinstance(await bench.answer(GOOD, side), bytes)
    (process,) = bench.images._pool._fleet
    assert process.pictures == {}
    assert process.pid == pid


async def test_a_shortage_of_memory_is_waited_for(start: Start) -> None:
    bench = await start(retry=Retry(BOUND, BOUND))
    pid = await bench.up()
    await bench.answer(GOOD)
    _leave(pid, 20)
    waiting = asyncio.create_task(bench.images.prepare(LARGE, 1.0, None))
    await bench.until(lambda: bench.value("memory_shortages_total", stage="decode") == 1)
    assert isinstance(await bench.answer(GOOD), bytes), "the pause holds no process"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert bench.images.cells.in_use == 0


async def test_a_shortage_that_lasts_is_the_workers_fault(start: Start) -> None:
    bench = await start()
    added: list[int] = []
    await bench.answer(GOOD)
    _leave(await bench.up(), 20)
    with pytest.raises(JobError, match="the worker has no memory left") as caught:
        await bench.images.prepare(LARGE, 1.0, None, added.append)
    failure = caught.value.as_failure()
    assert (failure.reason, failure.status) == (Reason.UNAVAILABLE, 503)
    assert (failure.stage, failure.attempts) == (Stage.DECODE, 3)
    assert sum(added) == 0
    assert max(added) >= 4000 * 3000 * 3
    assert bench.restarts() == {}


def _leave(pid: int, megabytes: int) -> None:
    """Allow a process only so much more address space than it has."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    mapped = psutil.Process(pid).memory_info().vms
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped + megabytes * 2**20, hard))


@pytest.mark.parametrize("name", ["a" * 300, "b/" * 100_000, "\0"])
async def test_a_file_that_cannot_be_is_not_found(start: Start, name: str) -> None:
    bench = await start()
    with pytest.raises(JobError) as caught:
        await bench.images.prepare(Path(name), 1.0, None)
    assert caught.value.reason is Reason.NOT_FOUND
    assert bench.images.cells.in_use == 0
    assert bench.restarts() == {}


async def test_a_label_may_be_longer_than_a_message(start: Start) -> None:
    bench = await start()
    prepared = await bench.images.prepare(GOOD, 1.0, 64)
    assert prepared.picture is not None
    async with asyncio.timeout(BOUND):
        assert await bench.images.draw(prepared.picture, "x" * 100_000, 0.5, 85)
    bench.images.release(prepared)
    assert bench.restarts() == {}


async def test_what_decoding_takes_is_accounted_for(start: Start) -> None:
    bench = await start()
    added: list[int] = []
    prepared = await bench.images.prepare(LARGE, 1.0, 1000, added.append)
    told, *_ = added
    assert told >= 4000 * 3000 * 3
    assert sum(added) == prepared.nbytes == 224 * 224 * 3 + 1000 * 750 * 3
    bench.images.release(prepared)


async def test_when_all_processes_are_lost_they_are_had_again(start: Start) -> None:
    bench = await start()
    forks = bench.images.pids[0]
    child = await bench.up()
    prepared = await bench.images.prepare(GOOD, 1.0, 64)
    os.kill(forks, signal.SIGKILL)
    # On a busy machine it could be drawn before.
    await bench.until(lambda: not psutil.pid_exists(child))
    async with asyncio.timeout(BOUND):
        assert prepared.picture is not None
        jpeg = await bench.images.draw(prepared.picture, "cat", 0.5, 85)
    bench.images.release(prepared)
    assert jpeg == await bench.answer(GOOD)
    assert bench.images.pids[0] != forks
    assert not bench.images.stalled


@pytest.mark.parametrize("stage", ["decode", "draw"])
async def test_an_image_that_ends_the_process_that_forks_is_found_among_others(
    start: Start, stage: str
) -> None:
    bench = await start(stage, count=2, cells=16)
    answers = await bench.answers([GOOD] * 3 + [BAD["parent"]] + [GOOD] * 4)
    error = answers.pop(3)
    assert isinstance(error, JobError)
    assert (error.reason, error.stage, error.attempts) == (Reason.CORRUPT_IMAGE, stage, 1)
    assert "it ends the process that forks" in error.message
    assert answers == [await bench.answer(GOOD)] * 7
    assert set(bench.restarts()) == {"parent"}
    assert bench.images.cells.in_use == 0


async def test_when_the_process_that_forks_hangs_it_is_had_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.imaging.fleet.NURSERY_TIMEOUT", 2.0)
    bench = await start()
    child = await bench.up()
    forks = bench.images.pids[0]
    os.kill(forks, signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    assert isinstance((await bench.answers([GOOD]))[0], bytes)
    assert bench.images.pids[0] != forks


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_image_process_has_nothing_that_it_does_not_need(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_KAFKA__SASL_PASSWORD", "canary")
    bench = await start()
    pid = await bench.up()
    await bench.answer(GOOD)
    environ, files = await asyncio.to_thread(_look_into, pid)
    assert "canary" not in environ
    sockets = [name for name in files if name.startswith("socket:")]
    assert len(sockets) == 1
    others = [name for name in files if name not in sockets and "memfd:" not in name]
    assert {name.split(":")[0] for name in others} <= {"/dev/null", "pipe"}
    limits = {
        what: resource.prlimit(pid, what) for what in (resource.RLIMIT_AS, resource.RLIMIT_CORE)
    }
    assert limits[resource.RLIMIT_AS] == (bench.limits.memory,) * 2
    assert limits[resource.RLIMIT_CORE] == (0, 0)
    # In the processor time that the kernel compares it with, in whole seconds.
    used = time.clock_gettime(~pid << 3)
    until, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
    assert abs(until - used - bench.limits.cpu_seconds) <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_sockets_of_a_program_with_a_default_time_out_block_all_the_same(
    start: Start,
) -> None:
    """An image process would look for messages without end, and what forks them could end."""
    socket.setdefaulttimeout(BOUND)
    try:
        bench = await start()
        forks, child = bench.images.pids[0], await bench.up()
    finally:
        socket.setdefaulttimeout(None)
    assert isinstance(await bench.answer(GOOD), bytes)
    assert _blocks(child, _socket_of(child))
    _, descriptor, _ = psutil.Process(forks).cmdline()[-3:]
    assert _blocks(forks, int(descriptor))


def _socket_of(pid: int) -> int:
    """The descriptor of its one socket."""
    entries = Path(f"/proc/{pid}/fd").iterdir()
    (own,) = [int(one.name) for one in entries if str(one.readlink()).startswith("socket:")]
    return own


def _blocks(pid: int, descriptor: int) -> bool:
    info = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text("utf-8")
    (flags,) = re.findall(r"^flags:\s*([0-7]+)$", info, re.MULTILINE)
    return not int(flags, 8) & os.O_NONBLOCK


def _look_into(pid: int) -> tuple[str, list[str]]:
    directory = Path(f"/proc/{pid}")
    files = [str(entry.readlink()) for entry in (directory / "fd").iterdir()]
    return (directory / "environ").read_text("utf-8", "replace"), files


async def test_all_processes_are_gone_in_the_end(start: Start) -> None:
    bench = await start(count=3)
    await bench.until(lambda: len(bench.workers()) == 3)
    pids = bench.images.pids
    bench.images.stop()
    await bench.until(lambda: not any(map(psutil.pid_exists, pids)))


async def test_what_processes_use_shows(start: Start) -> None:
    bench = await start(count=2)
    await bench.until(lambda: len(bench.workers()) == 2)
    assert bench.value("image_processes") == 2
    assert bench.value("image_processes_resident_memory_bytes") > 2**20
    await bench.answers([LARGE] * 3)
    assert bench.value("image_processes_busy_seconds_total") > 0
    assert bench.value("image_processes_cpu_seconds_total") > 0
    cpu = bench.value("image_processes_cpu_seconds_total")
    await bench.answers([BAD["kill"]])
    assert bench.value("image_processes_cpu_seconds_total") >= cpu
    roles = [process.role for process in bench.images._pool._fleet]
    assert roles.count(Role.REGULAR) == 2
