"""The bare programs that the worker is compared with do the work, through a real broker or HTTP."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pybase64
import pytest

from benchmarks.bare_program import BareProgram, one_by_one, work_together
from benchmarks.hand_over import LANES, HandOver
from benchmarks.messages import job_messages
from benchmarks.open_loop import measure_bare_program
from benchmarks.peers import bare_services, clients
from benchmarks.peers.bench import Bench
from benchmarks.saturation import Setting
from benchmarks.stages import StagePlan
from benchmarks.topics import fill, make_topics
from benchmarks.transport import measure_together, measure_transport
from demo.broker import KafkaBroker
from tests.support.paths import IMAGES
from worker.bench.bare import Layout
from worker.bench.limit import Contender, contender
from worker.images.decode import decode
from worker.inference.placement import available_cores
from worker.settings import DecodeSettings

pytestmark = pytest.mark.component

FILES = [IMAGES / "astronaut.jpg"]
CONTENDER = Contender("paddle", Layout(1, 1), 4)
TOGETHER = bare_services.Together(CONTENDER, least=1)
JOBS = 120

MANY_JOBS = 1200
"""For a program that has done 120 between two looks at its results."""
"""The network takes some 25 ms: seconds between the first results that are counted and the last."""


@pytest.fixture
def setting(broker: KafkaBroker, model_dir: Path, tmp_path: Path) -> Setting:
    images = [path.read_bytes() for path in FILES]
    return Setting(model_dir, "net", broker.bootstrap_servers, images, "", tmp_path)


def test_the_floors_together_are_transport_codecs_and_predictors(setting: Setting) -> None:
    measured = measure_together(setting, FILES, CONTENDER, "raw", JOBS, pictures=True)
    by_kind = measured.details["ms_cpu_by_kind"]
    assert measured.name == "floors together raw"
    assert by_kind.keys() == {"event loop", "other threads", "image processes", "predictors"}
    assert by_kind["predictors"] > 0
    assert measured.ms_cpu_per_image == pytest.approx(sum(by_kind.values()))
    # Each loop says how long it was kept waiting, the program's own and the idle one.
    assert measured.details["event_loop_lag_ms"] >= 0
    assert measured.details["idle_loop_lag_ms"] >= 0
    assert contender(measured) == CONTENDER


def test_the_transport_of_urls_fetches_their_images(setting: Setting) -> None:
    fetched: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fetched.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(setting.images[0])))
            self.end_headers()
            self.wfile.write(setting.images[0])

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            measured = measure_transport(
                replace(setting, base=base), FILES, "url", MANY_JOBS, pictures=False
            )
        finally:
            server.shutdown()
            serving.join()
    assert measured.name == "transport floor url"
    assert measured.details["ms_cpu_by_kind"].keys() >= {"event loop"}
    assert len(fetched) >= measured.details["jobs"] > 0
    assert set(fetched) == {"/0"}


async def test_the_bare_program_says_how_long_its_event_loop_was_kept_waiting(
    setting: Setting,
) -> None:
    topics = await make_topics(setting.bootstrap)
    work = one_by_one(setting.model, "paddle", pictures=False)
    with BareProgram(topics, work, setting.logs) as program:
        # Where it reads jobs it computes, too: each holds up its event loop.
        await fill(topics, job_messages("raw", setting.images, pictures=False, base=""), JOBS)
        async with asyncio.timeout(120):
            while await asyncio.to_thread(program.longest_delay) == 0:  # noqa: ASYNC110 - a number
                await asyncio.sleep(0.05)


def test_the_bare_program_answers_single_images(setting: Setting) -> None:
    all_of_it, appended = measure_bare_program(
        setting, "bare program at 25 %", "paddle", 20.0, 0.5, pictures=True
    )
    assert appended.name == "bare program at 25 %, record to result"
    for measured in (all_of_it, appended):
        assert measured.pictures
        # A thousand, had they not taken more than four times the time.
        assert measured.details["samples"] == 40
        assert measured.details["latency_ms"]["p50"] > 0


def test_a_predictor_that_cannot_be_started_is_told_of(model_dir: Path) -> None:
    work = work_together(model_dir, FILES, CONTENDER, pictures=False, handed_over=True)
    plan = replace(StagePlan.from_json(work["handed over"]), backend="none")  # type: ignore[arg-type]
    with ExitStack() as stack, pytest.raises(ChildProcessError, match="a predictor does not begin"):
        HandOver(plan, stack)


@pytest.fixture
def bench(model_dir: Path, tmp_path: Path) -> Bench:
    return Bench(model_dir, tmp_path, "net", model_dir, tmp_path, FILES, {}, {}, tmp_path)


def answer_of(service: clients.Service, *, pictures: bool, path: Path = FILES[0]) -> dict[str, Any]:
    body = clients.body_of(path.read_bytes(), pictures)

    async def ask() -> dict[str, Any]:
        async with aiohttp.ClientSession(service.url) as session:
            answer: dict[str, Any] = orjson.loads(await clients.ask(session, body))
        return answer

    return asyncio.run(ask())


def test_the_bare_service_for_one_client_answers_as_paddlex_does(bench: Bench) -> None:
    with ExitStack() as stack:
        service = bare_services.start_one_by_one(bench, "paddle", stack)
        plain = answer_of(service, pictures=False)
        assert (plain["errorCode"], plain["errorMsg"]) == (0, "Success")
        assert len(plain["result"]["categories"]) == 5
        assert "image" not in plain["result"]
        labelled = answer_of(service, pictures=True)
        assert pybase64.b64decode(labelled["result"]["image"])[:2] == b"\xff\xd8"


def test_the_bare_service_for_many_clients_answers_at_the_pace_of_its_stages(bench: Bench) -> None:
    with ExitStack() as stack:
        service = bare_services.start_together(bench, TOGETHER, stack, pictures=True)
        assert "image" not in answer_of(service, pictures=False)["result"]
        labelled = answer_of(service, pictures=True)
        assert len(pybase64.b64decode(labelled["result"]["image"])) > 1000
        body = clients.body_of(FILES[0].read_bytes(), True)
        answered = asyncio.run(clients.measure(service, [body], 2, 1.0))
    assert answered.rate > 0
    assert answered.ms_cpu_by_kind.keys() == {
        *("event loop", "other threads", "image processes", "predictors")
    }
    # None is answered before as much as one image has been through all stages.
    assert answered.ms_cpu_by_kind["predictors"] > 0
    assert answered.ms_cpu == pytest.approx(sum(answered.ms_cpu_by_kind.values()))


@pytest.mark.parametrize("pictures", [False, True])
def test_the_bare_service_that_hands_images_over_answers_with_their_own_pictures(
    bench: Bench, *, pictures: bool
) -> None:
    with ExitStack() as stack:
        service = bare_services.start_together(
            bench, TOGETHER, stack, pictures=pictures, handed_over=True
        )
        for path in (*FILES, IMAGES / "coffee.jpg"):
            answer = answer_of(service, pictures=pictures, path=path)
            assert answer["errorCode"] == 0
            if not pictures:
                assert "image" not in answer["result"]
                continue
            found = decode(pybase64.b64decode(answer["result"]["image"]), DecodeSettings())
            assert found.shape == decode(path.read_bytes(), DecodeSettings()).shape
        # More than its codecs take at a time.
        many = (LANES + 1) * available_cores()
        body = clients.body_of(FILES[0].read_bytes(), pictures)
        answered = asyncio.run(clients.measure(service, [body], many, 1.0))
    assert answered.rate > 0


@pytest.mark.parametrize("number", [0, -1], ids=["codec", "predictor"])
def test_the_bare_service_ends_with_a_process_to_which_it_hands_images_over(
    bench: Bench, number: int
) -> None:
    with ExitStack() as stack:
        service = bare_services.start_together(
            bench, TOGETHER, stack, pictures=False, handed_over=True
        )
        answer_of(service, pictures=False)
        psutil.Process(service.pid).children()[number].kill()
        with pytest.raises(aiohttp.ClientError):
            answer_of(service, pictures=False)
        (log,) = bench.directory.glob("bare-service-*.log")
        assert "a process to which images are handed over has ended" in log.read_text()
