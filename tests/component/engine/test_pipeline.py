"""The stages of one image: real images, a real network in this process, a real HTTP server."""

from __future__ import annotations

import asyncio
import base64
import gc
import resource
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.images import colour_png, noise_jpeg
from tests.support.paths import IMAGES
from tests.support.serving import serving
from worker.budget import Budget, Reservation
from worker.clock import Clock
from worker.contract.job_options import MAX_DEADLINE_MS
from worker.contract.jobs import (
    EncodedImage,
    ImageSource,
    Job,
    Outcome,
    RawImage,
    Success,
    UrlImage,
)
from worker.device import CPU
from worker.engine.pipeline import Pipeline
from worker.engine.serving import ServingModel
from worker.errors import Failure, JobError, Reason, Stage
from worker.failpoints import Failpoints
from worker.health import Health
from worker.images.decode import decode_pixels, read_header
from worker.images.fetch import ImageFetcher
from worker.imaging.images import ImageProcesses
from worker.imaging.prepared import PreparedImage
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.retry import Retry
from worker.settings import (
    DecodeSettings,
    FetchSettings,
    PictureSettings,
    PredictorSettings,
    ResultCacheSettings,
    Settings,
)

Crop = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

CAT = (IMAGES / "chelsea.png").read_bytes()
NOW = 1_000_000.0
BOUND = 20.0
HANGS = (0xFE, 1, 2)
CACHE = ResultCacheSettings(max_entries=10)


class Network:
    """The predictor of this process, which a test may hold up, or replace by an error."""

    backend = "in-process"

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.urgencies: list[float] = []
        self.limits: list[int | None] = []
        self.error: Exception | None = None
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.cancelled = False
        self.on_call: Callable[[Crop], None] = lambda crop: None

    async def classify(self, crop: Crop, urgency: float, most: int | None = None) -> Scores:
        self.urgencies.append(urgency)
        self.limits.append(most)
        self.on_call(crop)
        self.reached.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        scores = await asyncio.to_thread(self._predictor.scores, crop[None])
        return np.asarray(scores[0])


class Core:
    """A pipeline and what surrounds it."""

    def __init__(
        self, spec: ModelSpec, network: Network, fetcher: ImageFetcher, images: ImageProcesses
    ) -> None:
        self.spec = spec
        self.network = network
        self.metrics = Metrics()
        self.budget = Budget(10, 10**9)
        self.now = NOW
        self.images = images
        self._fetcher = fetcher

    def pipeline(self, **settings: Any) -> Pipeline:
        model = ServingModel(self.spec, self.network, self.images, self.metrics)
        return Pipeline(
            lambda: model,
            self._fetcher,
            Settings(**settings),
            self.metrics,
            clock=Clock(wall=lambda: self.now),
        )

    async def process(self, job: Job, held: Reservation | None = None, **settings: Any) -> Outcome:
        pipeline = self.pipeline(**settings)
        mine = held or self.budget.reserve(0)
        try:
            async with asyncio.timeout(BOUND):
                return await pipeline.process(job, mine)
        finally:
            if held is None:
                mine.release()

    async def all_of(self, pipeline: Pipeline, *jobs: Job) -> list[Outcome]:
        """The outcomes of jobs that run side by side through one pipeline."""

        async def one(job: Job) -> Outcome:
            held = self.budget.reserve(0)
            try:
                return await pipeline.process(job, held)
            finally:
                held.release()

        async with asyncio.timeout(BOUND):
            return await asyncio.gather(*map(one, jobs))

    async def succeed(self, job: Job, **settings: Any) -> Success:
        outcome = await self.process(job, **settings)
        assert isinstance(outcome, Success), outcome
        return outcome

    async def fail(self, job: Job, **settings: Any) -> Failure:
        outcome = await self.process(job, **settings)
        assert isinstance(outcome, Failure), outcome
        return outcome

    def measured(self, stage: Stage) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "classify_stage_duration_seconds_count", {"stage": stage.value}
            )
            or 0.0
        )


@pytest.fixture(scope="module")
def predictor(spec: ModelSpec) -> Predictor:
    return load_predictor(spec, CPU, 1)


@pytest.fixture
async def images(spec: ModelSpec) -> AsyncIterator[ImageProcesses]:
    retry = Retry(0.0, 0.0, attempts=3)
    images = ImageProcesses(spec, 1, 8, DecodeSettings(), Metrics(), Failpoints(), retry=retry)
    await images.start()
    yield images
    images.stop()


@pytest.fixture
async def core(
    spec: ModelSpec, predictor: Predictor, images: ImageProcesses
) -> AsyncIterator[Core]:
    fetch = FetchSettings(allow_networks=(ip_network("127.0.0.1/32"),), attempts=1)
    async with ImageFetcher(fetch) as fetcher:
        yield Core(spec, Network(predictor), fetcher, images)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def cat(_: web.Request) -> web.Response:
        return web.Response(body=CAT, content_type="image/png")

    app = web.Application()
    app.add_routes([web.get("/cat.png", cat)])
    async with serving(app) as port:
        yield f"http://127.0.0.1:{port}/cat.png"


@pytest.mark.parametrize(
    "body",
    [
        b"canary: what only this worker can read",
        b"<html><head><title>canary</title></head><body>canary</body></html>",
        b'{"canary": "canary"}',
        b"canary %PDF-1.7 canary",
        b"data:canary",
    ],
)
async def test_nothing_of_what_was_fetched_is_shown(core: Core, body: bytes) -> None:
    async def secret(_: web.Request) -> web.Response:
        headers = {"Content-Type": "canary/canary", "X-Canary": "canary", "Server": "canary"}
        return web.Response(body=body, headers=headers)

    app = web.Application()
    app.add_routes([web.get("/secret", secret)])
    async with serving(app) as port:
        failure = await core.fail(Job(UrlImage(f"http://127.0.0.1:{port}/secret")))
    assert failure.reason is Reason.NOT_AN_IMAGE
    for start in range(len(body) - 3):
        assert body[start : start + 4].hex(" ") not in failure.message
    assert "canary" not in failure.message


async def test_what_the_producer_sent_is_shown_to_the_producer(core: Core) -> None:
    failure = await core.fail(Job(RawImage(b"canary")))
    assert "(first bytes: 63 61 6e 61 72 79)" in failure.message


async def test_the_same_image_is_the_same_answer_whichever_way_it_comes(
    core: Core, url: str
) -> None:
    text = base64.b64encode(CAT).decode()
    sources: list[ImageSource] = [
        RawImage(CAT),
        EncodedImage(text),
        EncodedImage(f"data:image/png;base64,{text}"),
        UrlImage(url),
    ]
    answers = [await core.succeed(Job(source, visualize=False)) for source in sources]
    assert len(set(answers)) == 1
    best = answers[0].categories[0]
    assert best.name == "tiger cat"
    assert best.score == pytest.approx(0.39, abs=0.02)
    assert [category.score for category in answers[0].categories] == sorted(
        (category.score for category in answers[0].categories), reverse=True
    )
    assert core.measured(Stage.FETCH) == 1
    assert core.measured(Stage.DECODE) == 4
    assert core.measured(Stage.DRAW) == 0


async def test_an_image_of_a_caller_in_python_is_classified_in_full_size(
    core: Core, url: str
) -> None:
    path = IMAGES / "chelsea.png"
    pixels = decode_pixels(CAT, read_header(CAT))
    job = await core.succeed(Job(RawImage(CAT), top_k=3, visualize=False))
    pipeline, seen = core.pipeline(), []
    for image in (path, pixels, RawImage(CAT), UrlImage(url)):
        held = core.budget.reserve(0)
        async with asyncio.timeout(BOUND):
            found = await pipeline.classify(image, held, top_k=3, most=7)
        seen.append(found.categories)
        np.testing.assert_array_equal(found.picture, pixels)
        assert found.scores is not None
        best = found.categories[0]
        assert (int(found.scores.argmax()), len(found.scores)) == (best.id, 1000)
        assert best.score == round(float(found.scores.max()), 5)
        held.release()
    assert set(seen) == {job.categories}
    assert core.network.limits == [None, 7, 7, 7, 7]
    assert core.budget.bytes == 0
    with pytest.raises(JobError, match="there is no such file"):
        await pipeline.classify(Path("missing"), core.budget.reserve(0), top_k=1)


@pytest.mark.parametrize(
    ("asked", "enabled", "drawn"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
async def test_a_picture_is_drawn_when_the_job_or_else_the_settings_say_so(
    core: Core, asked: bool | None, enabled: bool, drawn: bool
) -> None:
    job = Job(RawImage(CAT), visualize=asked)
    answer = await core.succeed(job, picture=PictureSettings(enabled=enabled, max_side=200))
    assert (answer.picture is not None) is drawn
    if answer.picture is not None:
        assert answer.picture.startswith(b"\xff\xd8")
    assert core.measured(Stage.DRAW) == drawn


async def test_a_picture_may_be_encoded_while_the_network_computes(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    prepare = core.images.prepare

    async def watched(*given: Any, **named: Any) -> PreparedImage:
        asked.append(named["quality"])
        return await prepare(*given, **named)

    monkeypatch.setattr(core.images, "prepare", watched)
    answer = await core.succeed(Job(RawImage(CAT)), picture=PictureSettings(quality=61))
    assert asked == [61]
    assert answer.picture is not None


@pytest.mark.parametrize(
    ("asked", "setting", "count"), [(None, 0, 5), (None, 2, 2), (3, 2, 3), (5000, 0, 1000)]
)
async def test_the_number_of_categories(
    core: Core, asked: int | None, setting: int, count: int
) -> None:
    job = Job(RawImage(CAT), top_k=asked, visualize=False)
    answer = await core.succeed(job, predictor=PredictorSettings(top_k=setting))
    assert len(answer.categories) == count


async def test_urgency_is_the_deadline_or_else_ones_patience(core: Core) -> None:
    await core.succeed(Job(RawImage(CAT), visualize=False, deadline=NOW + 7))
    await core.succeed(Job(RawImage(CAT), visualize=False))
    assert core.network.urgencies == [NOW + 7, NOW + Settings().batching.patience]


@pytest.mark.parametrize("late", [0.0, 0.001, 1e6])
async def test_a_job_that_comes_after_its_deadline_costs_nothing(core: Core, late: float) -> None:
    failure = await core.fail(Job(UrlImage("http://127.0.0.1:9/"), deadline=NOW - late))
    assert failure.reason is Reason.DEADLINE_EXCEEDED
    assert failure.status == 504
    assert core.measured(Stage.FETCH) == core.measured(Stage.DECODE) == 0


async def test_a_deadline_that_passes_while_the_image_waits_withdraws_it(core: Core) -> None:
    core.network.go_on.clear()
    failure = await core.fail(Job(RawImage(CAT), visualize=False, deadline=NOW + 0.5))
    assert failure.reason is Reason.DEADLINE_EXCEEDED
    assert core.network.cancelled


async def test_a_job_whose_deadline_has_passed_is_gone_without_collecting_garbage(
    core: Core,
) -> None:
    core.network.go_on.clear()
    gc.collect()
    gc.disable()
    try:
        job = Job(RawImage(CAT), visualize=False, deadline=NOW + 0.5)
        number = id(job)
        assert (await core.fail(job)).reason is Reason.DEADLINE_EXCEEDED
        del job
        await asyncio.sleep(0)  # the loop still holds what has woken this task
        assert not any(id(one) == number and isinstance(one, Job) for one in gc.get_objects())
    finally:
        gc.enable()


async def test_the_last_deadline_there_is_is_no_deadline(core: Core) -> None:
    await core.succeed(Job(RawImage(CAT), visualize=False, deadline=MAX_DEADLINE_MS / 1000))


async def test_what_is_wrong_with_the_image_is_a_failure(core: Core) -> None:
    failure = await core.fail(Job(RawImage(b"GIF89a")))
    assert failure.stage is Stage.DECODE
    failure = await core.fail(Job(EncodedImage("not base64!")))
    assert failure.reason is Reason.BAD_BASE64
    failure = await core.fail(Job(UrlImage("http://127.0.0.2/")))
    assert failure.reason is Reason.FORBIDDEN_URL
    assert core.network.urgencies == []


async def test_what_is_wrong_with_the_predictor_keeps_its_reason(core: Core) -> None:
    core.network.error = JobError(Reason.POISON, "alone", attempts=7)
    failure = await core.fail(Job(RawImage(CAT)))
    assert failure == Failure(Reason.POISON, "alone", Stage.INFER, 7)


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), TimeoutError("secret")])
async def test_a_defect_costs_its_job_alone_and_is_loud(core: Core, error: Exception) -> None:
    core.network.error = error
    with capture_logs() as logs:
        failure = await core.fail(Job(RawImage(CAT), job_id="j", deadline=NOW + BOUND))
    assert failure.reason is Reason.INTERNAL
    assert failure.message == f"internal error: {type(error).__name__}"
    (line,) = [line for line in logs if line["event"] == "job_raised"]
    assert line["log_level"] == "error"
    assert line["job_id"] == "j"
    core.network.error = None
    await core.succeed(Job(RawImage(CAT), visualize=False))


async def test_bytes_held_on_the_way_are_pixels_and_all_are_given_back(
    core: Core, url: str
) -> None:
    held = core.budget.reserve(1000)
    seen: list[int] = []
    core.network.on_call = lambda crop: seen.append(core.budget.bytes)
    answer = await core.process(Job(UrlImage(url)), held, picture=PictureSettings(max_side=451))
    assert isinstance(answer, Success)
    assert answer.picture is not None
    pixels = 224 * 224 * 3 + 451 * 300 * 3
    assert seen == [1000 + len(CAT) + pixels], "the download is kept, in case the picture is lost"
    assert core.budget.bytes == 1000 + len(CAT) + pixels + len(answer.picture)
    held.release()
    assert (core.budget.bytes, core.budget.jobs) == (0, 0)


async def test_pixels_are_accounted_for_before_they_are_decoded(core: Core) -> None:
    large = noise_jpeg(0, 4000, 3000)
    header = read_header(large)
    assert header.decoded_bytes >= header.width * header.height * 3
    seen: list[int] = []

    def add(nbytes: int) -> None:
        core.budget._add(nbytes)
        seen.append(core.budget.bytes)

    held = Reservation(add, core.budget._release, 1000)
    assert isinstance(await core.process(Job(RawImage(large), visualize=False), held), Success)
    assert seen == [1000, 1000 + header.decoded_bytes, 1000, 1000 + 224 * 224 * 3]
    held.release()
    assert core.budget.bytes == 0


@pytest.mark.parametrize("attempts", [1, 3])
async def test_what_was_accounted_for_is_given_back_when_decoding_fails(
    core: Core, attempts: int
) -> None:
    """Whether the image is at fault or there is no memory, at once or after some attempts."""
    image = noise_jpeg(0, 4000, 3000)
    if attempts == 1:
        image = image[: len(image) // 2]
    else:
        await core.succeed(Job(RawImage(CAT)))
        (pid,) = core.images.pids[1:]
        _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
        mapped = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (mapped + 20 * 2**20, hard))
    seen: list[int] = []

    def add(nbytes: int) -> None:
        core.budget._add(nbytes)
        seen.append(core.budget.bytes)

    held = Reservation(add, core.budget._release, 1000)
    outcome = await core.process(Job(RawImage(image)), held)
    assert isinstance(outcome, Failure)
    assert (outcome.status, outcome.attempts) == ((422, 1) if attempts == 1 else (503, attempts))
    assert sum(nbytes > 1000 for nbytes in seen) == attempts
    assert core.budget.bytes == 1000


async def test_a_decoder_that_hangs_costs_its_job_alone(core: Core) -> None:
    limits, failpoints = DecodeSettings(timeout=1.0), Failpoints(((HANGS, "decode.hang"),))
    core.images = ImageProcesses(core.spec, 1, 8, limits, core.metrics, failpoints)
    await core.images.start()
    health = Health(BOUND, core.metrics, kafka=False)
    health.images_stalled = lambda: core.images.stalled
    failure = await core.fail(Job(RawImage(colour_png("#fe0102")), visualize=False))
    assert failure.reason is Reason.CORRUPT_IMAGE
    assert failure.stage is Stage.DECODE
    assert health.not_live() == []
    await core.succeed(Job(RawImage(CAT), visualize=False))
    core.images.stop()


async def test_cancelling_withdraws_the_image(core: Core) -> None:
    core.network.go_on.clear()
    running = asyncio.create_task(core.process(Job(RawImage(CAT), deadline=NOW + BOUND)))
    await asyncio.wait_for(core.network.reached.wait(), BOUND)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    assert core.network.cancelled
    assert core.budget.jobs == 0


async def test_the_result_cache_answers_equal_images_with_equal_bytes_and_computes_once(
    core: Core, url: str
) -> None:
    text = base64.b64encode(CAT).decode()
    jobs = [Job(source) for source in (RawImage(CAT), EncodedImage(text), UrlImage(url))]
    uncached = await core.succeed(jobs[0])
    computed = len(core.network.urgencies)
    pipeline = core.pipeline(result_cache=CACHE)
    assert await core.all_of(pipeline, *jobs, *jobs) == [uncached] * 6
    assert await core.all_of(pipeline, *jobs) == [uncached] * 3
    assert len(core.network.urgencies) == computed + 1
    # Whatever changes the answer is another entry.
    green = Job(RawImage(colour_png("#00ff00")))
    for other in (replace(jobs[0], top_k=2), replace(jobs[0], visualize=False), green):
        assert await core.all_of(pipeline, other) == [await core.succeed(other)]
    assert core.budget.bytes == 0


async def test_an_image_that_ends_its_processes_does_so_once_for_all_that_wait(core: Core) -> None:
    failpoints = Failpoints(((HANGS, "decode.segv"),))
    core.images = ImageProcesses(core.spec, 2, 8, DecodeSettings(), core.metrics, failpoints)
    await core.images.start()
    pipeline = core.pipeline(result_cache=CACHE)
    poison = Job(RawImage(colour_png("#fe0102")), visualize=False)
    good = Job(RawImage(CAT), visualize=False)
    *failures, answer = await core.all_of(pipeline, *[poison] * 5, good)
    assert isinstance(answer, Success)
    (failure,) = set(failures)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.stage) == (Reason.CORRUPT_IMAGE, Stage.DECODE)
    restarts = "classify_image_process_restarts_total"
    assert core.metrics.registry.get_sample_value(restarts, {"cause": "crash"}) == 2
    core.images.stop()


async def test_for_a_caller_in_python_the_result_cache_spares_the_network_alone(core: Core) -> None:
    path = IMAGES / "chelsea.png"
    pixels = decode_pixels(CAT, read_header(CAT))
    pipeline = core.pipeline(result_cache=CACHE)
    held = core.budget.reserve(0)
    async with asyncio.timeout(BOUND):
        found = await asyncio.gather(
            *(pipeline.classify(image, held, top_k=3) for image in (path, pixels, RawImage(CAT)))
        )
        other = await pipeline.classify(path, held, top_k=2)
    assert len({each.categories for each in found}) == 1
    assert other.categories == found[0].categories[:2]
    for each in (*found, other):
        np.testing.assert_array_equal(each.picture, pixels)
        assert each.scores is None
    assert len(core.network.urgencies) == 2
    held.release()
