"""What a client for HTTP sends and says, with a service on loopback that does as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.serving import serving
from worker.budget import Budget
from worker.client import (
    ClientClosed,
    HttpClient,
    JobOutcome,
    JobRefused,
    JobRequest,
    ResultTimeout,
    ServiceError,
)
from worker.client import http as module
from worker.client.base import Call
from worker.client.many import Hold
from worker.clock import Clock
from worker.errors import SettingsError

JPEG = b"\xff\xd8\xff\xe0 a picture"
DONE = {
    "logId": "1",
    "errorCode": 0,
    "errorMsg": "Success",
    "result": {"categories": [{"id": 1, "name": "any", "score": 0.5}], "image": "/9j/4A=="},
}
MODEL = {"Model-Name": "my%20model", "Model-Digest": "sha256:0", "Model-Backend": "paddle"}

Answer = Callable[[], web.Response | Exception]


def done() -> web.Response:
    return web.json_response(DONE, headers=MODEL)


def refused(status: int, **headers: str) -> Answer:
    body = {"logId": "1", "errorCode": status, "errorMsg": "no room"}
    return lambda: web.json_response(body, status=status, headers=headers)


def text(status: int) -> Answer:
    return lambda: web.Response(text="<html>", status=status)


def broken() -> Exception:
    return ConnectionResetError()


@dataclass
class Service:
    """Answers as it is told, the last answer for all requests that follow.

    Attributes:
        answering: clear it to keep requests waiting.
        requests: what was asked: the request and its body.
        arrived: has a permit for each request.
        most: most requests at the same time.
    """

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [done])
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[tuple[web.Request, bytes]] = field(default_factory=list)
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    under_way: int = 0
    most: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.read()))
        self.arrived.release()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.answering.wait()
        finally:
            self.under_way -= 1
        answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()
        if isinstance(answer, Exception):
            assert request.transport is not None
            request.transport.abort()
            raise answer
        return answer


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    made.answering.set()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{path:.*}", made.answer)
    async with serving(app, shutdown_timeout=0.1) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def clock(naps: list[float]) -> Clock:
    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.sleep(0)

    return Clock(sleep=sleep, uniform=lambda _, bound: bound)


async def test_an_image_in_each_way(service: Service, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    async with HttpClient(service.url, token="secret-token") as client:
        await client.classify(tmp_path / "cat.jpg", top_k=3, visualize=False)
        result = await client.classify(JPEG, top_k=3, visualize=False)
        await client.classify("http://h/cat.jpg", top_k=3)
        await client.classify({"image": "QUJD", "topk": 2}, top_k=3)
        await client.classify(JobRequest(image=JPEG, job_id="a", send_as="base64"))
    assert result.top1 is not None
    assert (result.top1.name, result.image) == ("any", b"\xff\xd8\xff\xe0")
    assert result.model is not None
    assert (result.model.name, result.model.backend) == ("my model", "paddle")
    assert {request.path for request, _ in service.requests} == {"/image-classification"}
    assert {r.headers["Authorization"] for r, _ in service.requests} == {"Bearer secret-token"}
    for request, body in service.requests[:2]:
        assert (request.content_type, body) == ("image/jpeg", JPEG)
        assert dict(request.query) == {"topk": "3", "visualize": "false"}
    url, written, encoded = (json.loads(body) for _, body in service.requests[2:])
    assert (url["image"], url["inferenceParams"]) == ("http://h/cat.jpg", {"topK": 3})
    assert (written["image"], written["topk"]) == ("QUJD", 2)
    assert (encoded["jobId"], encoded["image"][:4]) == ("a", "/9j/")


async def test_a_large_image(service: Service) -> None:
    async with HttpClient(service.url) as client:
        await client.classify(JPEG + bytes(3 << 20))
    assert len(service.requests[0][1]) == len(JPEG) + (3 << 20)


@pytest.mark.parametrize(
    ("url", "path"),
    [("/", "/image-classification"), ("/a/b", "/a/b/image-classification")]
    + [(f"{path}/image-classification", f"{path}/image-classification") for path in ("", "/c")],
)
async def test_the_address_may_have_a_path(service: Service, url: str, path: str) -> None:
    async with HttpClient(service.url + url) as client:
        await client.classify(JPEG)
    assert service.requests[0][0].path == path


async def test_a_refused_job_says_why(service: Service) -> None:
    service.answers = [refused(415)]
    async with HttpClient(service.url) as client:
        with pytest.raises(JobRefused, match="415 unsupported_media_type: no room") as error:
            await client.classify(JobRequest(image=JPEG, job_id="a"))
    assert (error.value.code, error.value.job_id) == (415, "a")
    assert len(service.requests) == 1


async def test_a_service_without_room_is_asked_again_when_it_says(
    service: Service, clock: Clock, naps: list[float]
) -> None:
    retry = {"Retry-After": "3"}
    service.answers = [refused(503, **retry), text(429), refused(503), done]
    async with HttpClient(service.url, clock=clock) as client:
        assert (await client.classify(JPEG)).top1 is not None
    assert len(service.requests) == 4
    assert {body for _, body in service.requests} == {JPEG}
    # What it says, and more each time, so that not all come back at once.
    assert naps == pytest.approx([3.2, 0.4, 0.8])


@pytest.mark.parametrize(("answer", "said"), [(refused, "no room"), (text, "has no room; try ag")])
async def test_a_service_that_has_no_room_in_time_refuses_the_job(
    service: Service, clock: Clock, answer: Any, said: str
) -> None:
    service.answers = [lambda: _with_pause(answer(503)())]
    async with HttpClient(service.url, clock=clock) as client:
        with pytest.raises(JobRefused, match=f"503 service_unavailable: .*{said}"):
            await client.classify(JPEG, timeout=60)
    assert len(service.requests) == 1  # another try would come after the job's time


def _with_pause(response: web.Response) -> web.Response:
    response.headers["Retry-After"] = "90"
    return response


async def test_a_connection_that_breaks_is_made_again_a_few_times(
    service: Service, clock: Clock, naps: list[float]
) -> None:
    service.answers = [broken, broken, done]
    async with HttpClient(service.url, clock=clock) as client:
        assert (await client.classify(JPEG)).top1 is not None
        service.answers = [broken]
        with pytest.raises(ServiceError, match=r"127\.0\.0\.1.* cannot be reached"):
            await client.classify(JPEG)
    assert naps == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.4])


async def test_nobody_listens(unused_port: int, clock: Clock) -> None:
    async with HttpClient(f"http://127.0.0.1:{unused_port}", clock=clock) as client:
        with pytest.raises(ServiceError, match="cannot be reached"):
            await client.classify(JPEG)


@pytest.mark.parametrize("status", [200, 302, 404, 502])
async def test_what_is_no_worker_is_named(service: Service, status: int) -> None:
    service.answers = [text(status)]
    async with HttpClient(service.url) as client:
        with pytest.raises(ServiceError, match=f"answers HTTP {status} and no result: is it the"):
            await client.classify(JPEG)


async def test_a_redirect_is_not_followed(service: Service) -> None:
    # It could lead to a service that is to know neither the token nor the image.
    service.answers = [lambda: web.Response(status=307, headers={"Location": "/elsewhere"}), done]
    async with HttpClient(service.url) as client:
        with pytest.raises(ServiceError, match="answers HTTP 307"):
            await client.classify(JPEG)
    assert len(service.requests) == 1


async def test_an_answer_without_end_is_not_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER", 100)
    async with HttpClient(service.url) as client:
        with pytest.raises(ServiceError, match="more than 100 bytes"):
            await client.classify(JPEG)


async def test_no_result_in_time(service: Service) -> None:
    service.answering.clear()
    async with HttpClient(service.url, timeout=0.02) as client:
        with pytest.raises(ResultTimeout, match=r"no result within 0\.02 s"):
            await client.classify(JPEG)


async def test_requests_at_a_time(service: Service) -> None:
    service.answering.clear()
    async with HttpClient(service.url, max_connections=2) as client:
        calls = [asyncio.create_task(client.classify(JPEG)) for _ in range(20)]
        for _ in range(2):
            await service.arrived.acquire()
        service.answering.set()
        await asyncio.gather(*calls)
    assert (service.most, len(service.requests)) == (2, 20)


async def test_a_job_holds_its_image_until_it_is_answered(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    budget = Budget(9, 9)
    call = Call(path, "a", None, None, None, Hold(budget.reserve(0)))
    service.answering.clear()
    async with HttpClient(service.url) as client:
        asking = asyncio.create_task(client._ask(call))
        await service.arrived.acquire()
        assert budget.bytes == len(JPEG)
        service.answering.set()
        assert (await asking).code == 0


async def test_many_cost_only_themselves(service: Service, tmp_path: Path) -> None:
    images = [JPEG, tmp_path / "none.jpg", JPEG]
    async with HttpClient(service.url) as client:
        outcomes: list[JobOutcome[Any]] = [each async for each in client.classify_many(images)]
    outcomes.sort(key=lambda outcome: outcome.number)
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert [outcome.record_id for outcome in outcomes] == [None, None, None]
    assert outcomes[0].latency is not None


async def test_a_client_is_used_while_it_is_open(service: Service) -> None:
    client = HttpClient(service.url)
    with pytest.raises(ClientClosed, match="not open"):
        await client.classify(JPEG)
    service.answering.clear()
    async with client:
        waiting = asyncio.create_task(client.classify(JPEG))
        await service.arrived.acquire()
    with pytest.raises(ClientClosed, match="closed before the job had a result"):
        await waiting


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "localhost:8080"}, "write http://host:port"),
        ({"url": "ftp://h"}, "write http://host:port"),
        ({"url": "http://"}, "write http://host:port"),
        ({"url": "http://h:99999"}, "write http://host:port"),
        ({"url": "http://user:pw@h"}, "no user"),
        ({"url": "http://h/?a=b"}, "no user, \\? or #"),
        ({"token": ""}, "the token"),
        ({"token": "a\nb"}, "the token"),
        ({"token": "a b"}, "the token"),
        ({"timeout": 0}, "timeout is to be seconds, more than 0, not 0"),
        ({"timeout": float("nan")}, "timeout is to be seconds, more than 0, not nan"),
        ({"send_as": "xml"}, "send_as is to be 'raw' or 'base64', not 'xml'"),
        ({"max_connections": 0}, "max_connections is to be 1 or more, not 0"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as wrong:
        HttpClient(**arguments)
    assert "pw" not in str(wrong.value)


@pytest.mark.parametrize("limit", ["max_jobs", "max_bytes"])
def test_a_limit_with_which_nothing_would_be_taken_is_refused(limit: str) -> None:
    with pytest.raises(SettingsError, match=f"{limit} is to be 1 or more, not 0"):
        HttpClient().classify_many([JPEG], **{limit: 0})  # type: ignore[arg-type]
