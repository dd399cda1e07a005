"""`/admin/model`: who may ask, what is refused, and how a change is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from worker.contract.jobs import ModelIdentity
from worker.contract.model_changes import ChangeOutcome, ModelChange, ModelState
from worker.health import Health
from worker.http import admin
from worker.http.admin import PATH
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

OLD = ModelIdentity("old", "sha256:01", "paddle")
NEW = ModelIdentity("new", "sha256:02", "paddle")
TOKEN = "a-first-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BOUND = 30.0


class Steered:
    """Changes that end when the test says how."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.begun = asyncio.Event()
        self.outcome: asyncio.Future[ChangeOutcome] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[ModelChange] | None = None

    @property
    def state(self) -> ModelState:
        changing = self._task is not None and not self._task.done()
        return ModelState(OLD, self.wanted[-1], "loading new") if changing else ModelState(OLD)

    def begin(self, model: str) -> asyncio.Task[ModelChange] | None:
        if self._task is not None and not self._task.done():
            return None
        self.wanted.append(model)
        self._task = asyncio.create_task(self._change(model))
        return self._task

    async def _change(self, model: str) -> ModelChange:
        self.begun.set()
        outcome = await self.outcome
        serving = NEW if outcome.serves else OLD
        return ModelChange(model, "request", outcome, "as told", 1.0, 2.0, OLD, serving)


class Service:
    def __init__(self, settings: HttpSettings, client: aiohttp.ClientSession) -> None:
        metrics = Metrics()
        self.server = HttpServer(settings, Health(10.0, metrics), metrics, None)
        self.changes = Steered()
        self._client = client

    async def ask(
        self, body: object = None, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of a POST, or of a GET without a body to send."""
        url = f"http://127.0.0.1:{self.server.metrics_port}{PATH}"
        if body is not None:
            options["json"] = body
        method = "POST" if options else "GET"
        async with self._client.request(method, url, headers=headers, **options) as answer:
            return answer.status, await answer.json()


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[HttpServer] = []
    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as client:

        async def make(*, opened: bool = True, **settings: Any) -> Service:
            service = Service(HttpSettings(host="127.0.0.1", port=0, **settings), client)
            await service.server.start()
            started.append(service.server)
            if opened:
                service.server.admin.open(service.changes)
            return service

        yield make
        for server in started:
            await server.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{TOKEN}\n", "ascii")
    path.chmod(0o600)
    return path


async def test_a_change_is_answered_when_it_is_done(start: Start) -> None:
    service = await start()
    asking = asyncio.create_task(service.ask({"model": "new"}))
    await service.changes.begun.wait()
    assert (await service.ask())[1]["result"]["change"] == {
        "wanted": "new",
        "step": "loading new",
    }
    assert not asking.done()
    service.changes.outcome.set_result(ChangeOutcome.CHANGED)
    status, body = await asking
    assert (status, body["errorCode"], body["errorMsg"]) == (200, 0, "Success")
    assert body["result"]["model"]["digest"] == "sha256:02"
    assert service.changes.wanted == ["new"]


@pytest.mark.parametrize("outcome", [one for one in ChangeOutcome if not one.serves])
async def test_a_change_that_fails_says_why_and_what_serves(
    start: Start, outcome: ChangeOutcome
) -> None:
    service = await start()
    service.changes.outcome.set_result(outcome)
    status, body = await service.ask({"model": "new"})
    assert status == body["errorCode"] == outcome.status
    assert body["errorMsg"] == "as told"
    assert body["result"]["outcome"] == outcome.label
    assert body["result"]["model"]["digest"] == "sha256:01"


async def test_a_second_change_is_refused_while_one_is_under_way(start: Start) -> None:
    service = await start()
    asking = asyncio.create_task(service.ask({"model": "new"}))
    await service.changes.begun.wait()
    status, body = await service.ask({"model": "other"})
    assert status == 409
    assert "a change to new is under way" in body["errorMsg"]
    service.changes.outcome.set_result(ChangeOutcome.UNCHANGED)
    assert (await asking)[0] == 200


async def test_a_client_that_leaves_does_not_end_the_change(start: Start) -> None:
    service = await start()
    asking = asyncio.create_task(service.ask({"model": "new"}))
    await service.changes.begun.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    service.changes.outcome.set_result(ChangeOutcome.CHANGED)
    task = service.changes._task
    assert task is not None
    assert (await task).outcome is ChangeOutcome.CHANGED


async def test_before_the_first_model_and_at_the_end_nothing_is_changed(start: Start) -> None:
    service = await start(opened=False)
    assert (await service.ask())[0] == 503
    assert (await service.ask({"model": "new"}))[0] == 503
    service.server.admin.open(service.changes)
    service.server.admin.close()
    assert (await service.ask({"model": "new"}))[0] == 503
    assert service.changes.wanted == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"new", "no JSON"),
        (b"[1]", "one field model"),
        (b"{}", "one field model"),
        (b'{"model": "a", "other": 1}', "one field model"),
        (b'{"model": 1}', "name or the directory"),
        (b'{"model": " "}', "name or the directory"),
        (b'{"model": "a\\u0000b"}', "name or the directory"),
        (b'{"model": "' + b"a" * 20_000 + b'"}', "too large"),
    ],
)
async def test_a_body_that_names_no_model_is_refused(start: Start, body: bytes, said: str) -> None:
    service = await start()
    status, answer = await service.ask(data=body)
    assert status == 400
    assert said in answer["errorMsg"]
    assert service.changes.wanted == []


async def test_with_tokens_one_is_needed(start: Start, token_file: Path) -> None:
    service = await start(token_file=token_file)
    service.changes.outcome.set_result(ChangeOutcome.CHANGED)
    for headers in (None, {"Authorization": "Bearer of-something-else-entirely"}):
        assert (await service.ask({"model": "new"}, headers))[0] == 401
        assert (await service.ask(headers=headers))[0] == 401
    assert service.changes.wanted == []
    # A proxy in front is no obstacle then.
    forwarded = BEARER | {"X-Forwarded-For": "203.0.113.7"}
    assert (await service.ask({"model": "new"}, forwarded))[0] == 200
    assert (await service.ask(headers=BEARER))[0] == 200


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-Host": "example.org"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Origin": "https://example.org"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=lambda header: next(iter(header)),
)
async def test_without_tokens_neither_proxies_nor_pages_may_ask(
    start: Start, header: dict[str, str]
) -> None:
    service = await start(allow_origins=("*",))
    asked = [await service.ask({"model": "new"}, header), await service.ask(None, header)]
    for status, body in asked:
        assert status == 403
        assert "http.token_file" in body["errorMsg"]
    assert service.changes.wanted == []


async def test_without_tokens_only_this_machine_may_ask(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start()
    assert (await service.ask())[0] == 200
    monkeypatch.setattr(admin, "_peer", lambda request: "203.0.113.7")
    assert (await service.ask())[0] == 403
    monkeypatch.setattr(admin, "_peer", lambda request: "::ffff:127.0.0.1")
    assert (await service.ask())[0] == 200
    monkeypatch.setattr(admin, "_peer", lambda request: "")
    assert (await service.ask())[0] == 403


async def test_it_is_beside_the_metrics_and_not_on_the_port_of_the_service(start: Start) -> None:
    service = await start(metrics_port=0)
    assert (await service.ask())[0] == 200
