"""What a client for Kafka sends and says, with a scripted broker and worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.job_transport import DONE, Script, turns
from worker.budget import Budget
from worker.client import (
    ClientClosed,
    JobOutcome,
    JobRefused,
    JobRequest,
    KafkaClient,
    ResultTimeout,
    ServiceError,
)
from worker.client import kafka as module
from worker.client.base import Call
from worker.client.many import Hold
from worker.clock import Clock
from worker.contract.jobs import EncodedImage, RawImage, UrlImage
from worker.contract.parsing import parse_job
from worker.contract.records import Message
from worker.errors import Failure, Reason, SettingsError, Stage
from worker.settings import KafkaSettings, SaslSettings, Settings

JPEG = b"\xff\xd8\xff\xe0 a picture"
REFUSED = Failure(Reason.NOT_FOUND, "there is no image", Stage.FETCH)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    def client(script: Script, **options: Any) -> KafkaClient:
        monkeypatch.setattr(module, "JobClient", lambda *_: script)
        return KafkaClient("localhost:9092", **options)

    return client


async def test_an_image_in_each_way(make: Any, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    written = {"image": "QUJD", "jobId": "mine", "own": 1}
    script = Script()
    images = (str(tmp_path / "cat.jpg"), JPEG, "http://h/cat.jpg", written)
    async with make(script) as client:
        results = [await client.classify(each, top_k=3, visualize=False) for each in images]
    for result in results:
        assert (result.top1.name, result.image, result.model.name) == ("any", None, "m")
    jobs = [parse_job(record) for record in script.sent]
    assert [job.image for job in jobs] == [
        RawImage(JPEG),
        RawImage(JPEG),
        UrlImage("http://h/cat.jpg"),
        EncodedImage("QUJD"),
    ]
    assert {(job.top_k, job.visualize) for job in jobs} == {(3, False)}
    assert (results[3].job_id, jobs[3].job_id) == ("mine", "mine")
    assert len({job.job_id for job in jobs}) == 4


async def test_a_request_has_options_of_its_own(make: Any) -> None:
    script = Script()
    request = JobRequest(image=JPEG, job_id="a", top_k=1, visualize=True, send_as="base64")
    async with make(script) as client:
        await client.classify(request, top_k=3, visualize=False)
        await client.classify(JobRequest(image=JPEG, job_id="b"))
    first, second = (parse_job(record) for record in script.sent)
    assert (first.job_id, first.top_k, first.visualize) == ("a", 1, True)
    assert isinstance(first.image, EncodedImage)
    assert (second.job_id, second.top_k, second.visualize) == ("b", None, None)
    assert isinstance(second.image, RawImage)


async def test_a_refused_job_says_why(make: Any) -> None:
    async with make(Script(outcome=REFUSED)) as client:
        with pytest.raises(JobRefused, match="404 not_found: there is no image") as refused:
            await client.classify(JobRequest(image=JPEG, job_id="a"))
        assert (refused.value.code, refused.value.reason) == (404, "not_found")
        assert (refused.value.message, refused.value.job_id) == ("there is no image", "a")


async def test_a_file_that_cannot_be_sent_says_why(make: Any, tmp_path: Path) -> None:
    script = Script()
    async with make(script) as client:
        with pytest.raises(JobRefused, match="there is no such file") as refused:
            await client.classify(tmp_path / "none.jpg")
        with pytest.raises(JobRefused, match="more than the 1000 bytes"):
            await client.classify(bytes(1001))
        with pytest.raises(TypeError, match="is no image"):
            await client.classify(None)
    assert (refused.value.code, refused.value.reason) == (None, "not_found")
    assert script.sent == []


async def test_a_result_that_makes_no_sense_is_the_services_fault(make: Any) -> None:
    def broken(message: Message) -> Message:
        return replace(message, value=b"{")

    async with make(Script(shape=broken)) as client:
        with pytest.raises(ServiceError, match="does not follow the schema"):
            await client.classify(JPEG)


async def test_no_result_in_time(make: Any) -> None:
    script = Script(outcome=None)
    async with make(script, timeout=0.01) as client:
        with pytest.raises(ResultTimeout, match=r"no result within 0\.01 s") as late:
            await client.classify(JobRequest(image=JPEG, job_id="a"))
        assert late.value.job_id == "a"
        assert client._late(Call(RawImage(JPEG), "a", None, None, None, record_id="j-0-1")) == ""
        script.acknowledging.clear()
        with pytest.raises(TimeoutError, match=r"0.02 s: the brokers have not acknowledged the"):
            await client.classify(JPEG, timeout=0.02)


async def test_many_cost_only_themselves(make: Any, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    images = [tmp_path / "none.jpg", JPEG, tmp_path / "cat.jpg", b""]

    async def given() -> AsyncIterator[Any]:
        for image in images:
            yield image

    now = iter(range(100))
    async with make(Script(), clock=Clock(monotonic=lambda: float(next(now)))) as client:
        outcomes: list[JobOutcome[Any]] = [each async for each in client.classify_many(given())]
    outcomes.sort(key=lambda outcome: outcome.number)
    assert [outcome.source for outcome in outcomes] == images
    assert [outcome.ok for outcome in outcomes] == [False, True, True, False]
    assert [outcome.record_id is None for outcome in outcomes] == [True, False, False, True]
    assert all((outcome.latency or 0) > 0 for outcome in outcomes if outcome.ok)
    assert outcomes[1].unwrap().categories[0].name == "any"
    with pytest.raises(JobRefused, match="no such file"):
        outcomes[0].unwrap()


async def test_many_are_under_way_at_most(make: Any) -> None:
    script = Script()
    script.answering.clear()
    async with make(script) as client:
        outcomes = client.classify_many((JPEG for _ in range(40)), max_jobs=3)
        first = asyncio.ensure_future(anext(outcomes))
        for _ in range(3):
            await script.arrived.acquire()
        await turns(50)
        assert len(script.sent) == 3
        script.answering.set()
        await first
        assert len([each async for each in outcomes]) == 39
    assert len(script.sent) == 40
    assert script.most_waiting <= 3


async def test_few_are_under_way_where_results_are_large(make: Any) -> None:
    script = Script(outcome=None)
    large = replace(DONE, picture=bytes(900))
    images = (JPEG for _ in range(1000))
    async with make(script) as client:
        outcomes = client.classify_many(images, max_jobs=20, max_bytes=2000)
        first = asyncio.ensure_future(anext(outcomes))
        for _ in range(20):  # nothing is known of results yet
            await script.arrived.acquire()
        for job in script.sent:
            script.answer(job, large)
        await first
        for _ in range(19):
            await anext(outcomes)
        await turns(100)
        # Each will bring 900 bytes, so three are more than may be held.
        assert 1 <= len(script.sent) - 20 <= 3
        await outcomes.aclose()


async def test_a_job_holds_its_message_until_the_brokers_have_it(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    budget, script = Budget(9, 9), Script(outcome=None)
    call = Call(path, "a", None, None, None, Hold(budget.reserve(0)))
    script.acknowledging.clear()
    async with make(script) as client:
        asking = asyncio.create_task(client._ask(call))
        await script.arrived.acquire()
        assert budget.bytes == script.sent[0].size > len(JPEG)
        script.acknowledging.set()
        await turns()
        assert (budget.bytes, call.record_id) == (0, script.sent[0].id)
        script.answer(script.sent[0])
        assert (await asking).code == 0


async def test_what_is_no_image_ends_many(make: Any) -> None:
    async with make(Script()) as client:
        with pytest.raises(TypeError, match="int is no image"):
            _ = [each async for each in client.classify_many([JPEG, 5])]


async def test_a_client_is_used_while_it_is_open(make: Any) -> None:
    client = make(Script(outcome=None))
    with pytest.raises(ClientClosed, match="not open"):
        await client.classify(JPEG)
    async with client:
        waiting = asyncio.create_task(client.classify(JPEG))
        await asyncio.sleep(0)
    with pytest.raises(ClientClosed, match="closed before the job had a result"):
        await waiting
    with pytest.raises(ClientClosed, match="not open"):
        _ = [each async for each in client.classify_many([JPEG])]
    await client.close()  # again: nothing


def test_settings_carry_what_arguments_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(module, "JobClient", lambda *given: made.append(given))
    sasl = SaslSettings(mechanism="SCRAM-SHA-512", username="me", password=SecretStr("secret"))
    secured = KafkaSettings(
        bootstrap_servers="other:1", security_protocol="SASL_SSL", sasl=sasl, jobs_topic="j"
    )
    for settings in (secured, Settings(kafka=secured)):
        KafkaClient("host:9093", results_topic="r", settings=settings)
        kafka, publish = made.pop()
        assert (kafka.bootstrap_servers, kafka.jobs_topic, kafka.results_topic) == (
            "host:9093",
            "j",
            "r",
        )
        assert kafka.sasl == sasl
        assert publish == Settings().publish
    KafkaClient()
    assert made.pop()[0] == KafkaSettings()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"bootstrap_servers": "nothing"},
            r"KafkaClient\(bootstrap_servers\): 'nothing' is not ho",
        ),
        ({"jobs_topic": "same", "results_topic": "same"}, "must differ"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        KafkaClient(**arguments)  # type: ignore[arg-type]
