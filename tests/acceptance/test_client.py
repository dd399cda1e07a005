"""`worker.client` as producers use it, at a worker that answers over Kafka and over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from demo.images import Photograph, photographs
from tests.support.harness import Names, Worker
from tests.support.workers import MakeWorker
from worker.client import (
    Classification,
    HttpClient,
    JobOutcome,
    JobRefused,
    JobRequest,
    KafkaClient,
    SyncHttpClient,
    SyncKafkaClient,
)

TOKEN = "a-token-of-enough-characters"
PHOTOS = {photograph.name: photograph for photograph in photographs()}
CHELSEA = PHOTOS["chelsea"]
FORBIDDEN = "http://10.0.0.1/cat.jpg"


@pytest.fixture(scope="module")
def names() -> Names:
    return Names.new()


@pytest.fixture(scope="module")
def worker(
    make_worker: MakeWorker,
    broker: KafkaBroker,
    names: Names,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Worker:
    """A worker with Kafka and HTTP, which asks for a token and has little room."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"{TOKEN}\n", "utf-8")
    tokens.chmod(0o600)
    worker = make_worker(
        broker.bootstrap_servers,
        names,
        WORKER_HTTP__INFER="true",
        WORKER_HTTP__TOKEN_FILE=str(tokens),
        WORKER_HTTP__MAX_JOBS="4",
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_MODEL_DIR=str(model_dir),  # whose answers mean something
    ).start()
    worker.wait_until_ready()
    return worker


@pytest.fixture
def kafka(worker: Worker, broker: KafkaBroker, names: Names) -> dict[str, str]:
    """How to reach the worker over Kafka."""
    return {
        "bootstrap_servers": broker.bootstrap_servers,
        "jobs_topic": names.jobs,
        "results_topic": names.results,
    }


@pytest.fixture
def url(worker: Worker) -> str:
    return f"http://127.0.0.1:{worker.port}"


def assert_chelsea(result: Classification, *, job_id: str | None = None) -> None:
    assert [category.id for category in result.categories] == [282, 285, 281]
    assert result.top1 is not None
    assert result.top1.name == "tiger cat"
    assert (result.image or b"").startswith(b"\xff\xd8")
    assert result.model is not None
    assert result.model.digest.startswith("sha256:")
    assert job_id in (None, result.job_id)


def assert_answers(outcomes: list[JobOutcome[JobRequest | str]], wanted: list[Photograph]) -> None:
    """All photographs are recognised, and the one URL that is given too is refused."""
    assert len(outcomes) == len(wanted) + 1
    for outcome in outcomes:
        if outcome.source == FORBIDDEN:
            assert isinstance(outcome.error, JobRefused)
            assert (outcome.error.code, outcome.error.reason) == (403, "forbidden")
        else:
            top1 = outcome.unwrap().top1
            assert top1 is not None
            photograph = PHOTOS[outcome.job_id]
            assert top1.id == photograph.class_id, photograph.name


def requests(wanted: list[Photograph]) -> list[JobRequest | str]:
    return [FORBIDDEN, *(JobRequest(image=each.path, job_id=each.name) for each in wanted)]


WANTED = list(PHOTOS.values())[:12]


async def test_over_kafka(kafka: dict[str, str]) -> None:
    async with KafkaClient(**kafka) as client:  # type: ignore[arg-type]
        assert_chelsea(await client.classify(CHELSEA.path, top_k=3))
        data = CHELSEA.path.read_bytes()
        request = JobRequest(image=data, job_id="mine", send_as="base64")
        assert_chelsea(await client.classify(request, top_k=3), job_id="mine")
        small = await client.classify(data, visualize=False)
        assert small.image is None
        with pytest.raises(JobRefused, match=r"403 forbidden: the URL leads to 10\.0\.0\.1"):
            await client.classify(FORBIDDEN)
        outcomes = client.classify_many(requests(WANTED), visualize=False)
        assert_answers([outcome async for outcome in outcomes], WANTED)


def test_over_kafka_without_a_loop(kafka: dict[str, str]) -> None:
    with SyncKafkaClient(**kafka) as client:  # type: ignore[arg-type]
        assert_chelsea(client.classify(CHELSEA.path, top_k=3))
        assert_answers(list(client.classify_many(requests(WANTED[:3]))), WANTED[:3])


async def test_over_http(url: str) -> None:
    async with HttpClient(url, token=TOKEN) as client:
        assert_chelsea(await client.classify(CHELSEA.path, top_k=3))
        request = JobRequest(image=CHELSEA.path.read_bytes(), job_id="mine", send_as="base64")
        assert_chelsea(await client.classify(request, top_k=3), job_id="mine")
        # More than it has room for: those that are turned away come again when they may.
        outcomes = client.classify_many(requests(WANTED), visualize=False)
        assert_answers([outcome async for outcome in outcomes], WANTED)


def test_over_http_without_a_loop(url: str) -> None:
    with SyncHttpClient(url, token=TOKEN, max_connections=2) as client:
        assert_chelsea(client.classify(CHELSEA.path, top_k=3))
        assert_answers(list(client.classify_many(requests(WANTED[:3]))), WANTED[:3])
    with SyncHttpClient(url) as stranger, pytest.raises(JobRefused, match="401 unauthorized"):
        stranger.classify(CHELSEA.path)
