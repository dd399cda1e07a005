"""The engine and the connection to Kafka start side by side: the first that fails says why."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from worker import app
from worker.errors import KafkaSetupError, ModelError, WorkerError
from worker.failpoints import Failpoints
from worker.settings import Settings

BOUND = 30.0
SPEC = SimpleNamespace(name="model", digest="")
UNFIT, UNREACHED = ModelError("it is no model"), KafkaSetupError("no broker answers")


async def nothing(*_: object) -> None:
    """Start or stop what this is not about."""


class Steps:
    """Both steps of a start; each fails, or goes on forever.

    Attributes:
        cancelled: the steps that were given up.
        ended: the order in which both were taken down.
    """

    pool, pids = SimpleNamespace(), ()
    process, stalled, images_stalled, spec = None, None, None, SPEC

    def __init__(self, model: WorkerError | None, brokers: WorkerError | None) -> None:
        self.model, self.brokers = model, brokers
        self.cancelled: list[str] = []
        self.ended: list[str] = []

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the engine."""
        stack.callback(self.ended.append, "engine")
        await self._take("engine", self.model)

    async def connect(self) -> None:
        """Connect to Kafka."""
        await self._take("connection", self.brokers)

    async def disconnect(self) -> None:
        """Take it down."""
        self.ended.append("connection")

    async def _take(self, step: str, error: WorkerError | None) -> None:
        if error is not None:
            raise error
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.append(step)


@pytest.mark.parametrize(
    ("model", "brokers", "raised", "given_up"),
    [
        (UNFIT, None, UNFIT, ["connection"]),
        (None, UNREACHED, UNREACHED, ["engine"]),
        (UNFIT, UNREACHED, UNREACHED, []),
    ],
)
async def test_the_first_that_fails_ends_the_start(
    monkeypatch: pytest.MonkeyPatch,
    model: WorkerError | None,
    brokers: WorkerError | None,
    raised: WorkerError,
    given_up: list[str],
) -> None:
    steps = Steps(model, brokers)
    server = SimpleNamespace(start=nothing, stop=nothing, port=0, metrics_port=0)
    nursery = SimpleNamespace(start=nothing, stop=lambda: None)
    for name, part in {
        "Engine": steps,
        "KafkaService": steps,
        "HttpServer": server,
        "Nursery": nursery,
    }.items():
        monkeypatch.setattr(app, name, lambda *_, part=part, **__: part)
    monkeypatch.setattr(app, "resolve_spec", lambda *_: asyncio.sleep(0, SPEC))
    with pytest.raises(WorkerError) as caught:
        async with asyncio.timeout(BOUND):
            await app.App(Settings(), Failpoints()).run()
    assert caught.value is raised
    assert steps.cancelled == given_up
    assert steps.ended == ["engine", "connection"], "jobs end before the producer that they need"
