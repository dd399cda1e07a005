"""A worker whose model has to be pulled first: it is watched and stopped like any other."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.harness import Worker, until
from tests.support.http_client import classify
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldArchive
from tests.support.workers import ONE_SMALL_SLOT
from tests.support.zoo_host import make_archive

NAME = "PP-LCNet_x0_25"
JOB = job(noise_jpeg(0))

MakeService = Callable[..., Worker]


@pytest.fixture(scope="module")
def content(quick_model: Path) -> bytes:
    return make_archive(NAME, {file.name: file.read_bytes() for file in quick_model.iterdir()})


@pytest.fixture
async def archive(content: bytes) -> AsyncIterator[HeldArchive]:
    async with HeldArchive(NAME, content) as held:
        yield held


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Makes services (not started) with an empty cache of their own."""
    with ExitStack() as cleanup:

        def make(**environ: str) -> Worker:
            settings = {
                **ONE_SMALL_SLOT,
                "WORKER_MODEL": NAME,
                "WORKER_MODEL_CACHE": str(tmp_path / "models"),
                "NO_PROXY": "127.0.0.1",
                **environ,
            }
            worker = Worker(settings, tmp_path / "log.jsonl", "serve")
            cleanup.callback(worker.kill)
            return worker

        yield make


def half_is_here(worker: Worker) -> bool:
    return any(entry.get("percent") == 40 for entry in worker.events("pulling_model"))


async def test_probes_are_answered_while_the_model_comes(
    archive: HeldArchive, make_service: MakeService
) -> None:
    worker = make_service(WORKER_ZOO__BASE_URL=archive.url("")).start()
    await asyncio.to_thread(until, lambda: half_is_here(worker), "half of the archive")
    assert worker.probe("/livez") == (200, "ok\n")
    assert worker.probe("/readyz") == (503, "pulling the model\nnot warm\n")
    assert worker.value("classify_ready") == 0
    assert worker.value("classify_model_info", name=NAME, device="cpu", digest="") == 1
    refused = await asyncio.to_thread(classify, worker.port, JOB)
    assert refused.failure() == (503, "the service is loading its model; try again later")
    archive.release.set()
    await asyncio.to_thread(worker.wait_until_ready)
    assert (await asyncio.to_thread(classify, worker.port, JOB)).status == 200
    assert archive.starts == [0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_does_not_wait_for_the_model_and_the_next_start_goes_on(
    number: signal.Signals, archive: HeldArchive, make_service: MakeService
) -> None:
    worker = make_service(WORKER_ZOO__BASE_URL=archive.url("")).start()
    await asyncio.to_thread(until, lambda: half_is_here(worker), "half of the archive")
    worker.signal(number)
    assert await asyncio.to_thread(worker.wait, 5) == 0
    assert worker.events("stopping")
    assert "Traceback" not in worker.tail()
    worker.start()
    await asyncio.to_thread(until, lambda: len(archive.starts) == 2, "the next start asks")
    assert archive.half * 0.8 <= archive.starts[1] <= archive.half
    archive.release.set()
    await asyncio.to_thread(worker.wait_until_ready)


@pytest.mark.parametrize(
    ("environ", "status", "message"),
    [
        ({"WORKER_MODEL": "PPLCNet_x0_25"}, 3, "did you mean PP-LCNet_x0_25"),
        ({"WORKER_MODEL": "{empty}"}, 3, "has neither inference.json nor inference.pdmodel"),
        ({"WORKER_MODEL_DIR": "{empty}"}, 3, "has neither inference.json nor inference.pdmodel"),
        # Never taken for a name, though it is one.
        ({"WORKER_MODEL_DIR": NAME}, 3, f"/{NAME} does not exist"),
        ({"WORKER_ZOO__OFFLINE": "true"}, 3, "zoo.offline forbids to download it"),
        ({"WORKER_ZOO__BASE_URL": "{empty}"}, 3, f"{NAME}_infer.tar does not exist"),
        ({"WORKER_DEVICE": "gpu0"}, 2, "device: not a device; use cpu"),
    ],
    ids=[
        "unknown name",
        "no model",
        "no weights",
        "no directory",
        "offline",
        "no archive",
        "device",
    ],
)
def test_what_cannot_work_is_an_error_at_once(
    environ: dict[str, str], status: int, message: str, make_service: MakeService, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    given = {name: value.format(empty=tmp_path / "empty") for name, value in environ.items()}
    worker = make_service(**given).start()
    assert worker.wait(20) == status
    assert message in worker.tail()
    assert "Traceback" not in worker.tail()
