"""Orders of events that a real broker seldom produces, with a scripted one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.job_transport import Script, turns
from worker.client import exchange as module
from worker.client.errors import ClientClosed
from worker.client.exchange import Exchange
from worker.contract.job_messages import JobEnvelope
from worker.contract.records import Message, Record
from worker.contract.results import read_result, without_copies
from worker.errors import JobError, KafkaSetupError, Reason

Shape = Callable[[Message], Message]


async def ask(exchange: Exchange, name: str = "a") -> Record:
    async def prepare(correlation: str) -> Message:
        return JobEnvelope(name, correlation).with_job({"image": "x"})

    return await exchange.ask(prepare, lambda _: None)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("shape", [lambda message: message, without_copies])
async def test_results_find_their_jobs_before_and_after_the_acknowledgement(
    early: bool, shape: Shape
) -> None:
    async with Exchange(Script(early=early, shape=shape)) as exchange:
        records = await asyncio.gather(*(ask(exchange) for _ in range(20)))
    assert {read_result(record.value).code for record in records} == {0}


async def test_results_of_others_are_ignored_and_kept_only_while_jobs_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_UNCLAIMED", 400)
    script = Script(outcome=None)
    script.acknowledging.clear()
    async with Exchange(script) as exchange:
        asking = asyncio.create_task(ask(exchange))
        await turns()
        for offset in range(100, 110):
            other = Record("others", 0, offset, 0, None, b'{"image": "x"}', ())
            script.answer(other)
        await turns(50)
        # It reads no further, since one of these may be the job's.
        assert not script.polled_all()
        script.acknowledging.set()
        await turns(100)
        assert script.polled_all()
        script.answer(script.sent[0])
        assert read_result((await asking).value).code == 0


async def test_few_jobs_are_read_and_sent_at_a_time() -> None:
    script = Script()
    script.acknowledging.clear()
    async with Exchange(script) as exchange:
        asking = [asyncio.create_task(ask(exchange)) for _ in range(40)]
        await turns(50)
        assert len(script.sent) == module.MAX_SENDING
        script.acknowledging.set()
        await asyncio.gather(*asking)
    assert len(script.sent) == 40


async def test_a_caller_that_gives_up_leaves_nothing_behind() -> None:
    script = Script(outcome=None)
    async with Exchange(script) as exchange:
        for _ in range(3 * module.MAX_SENDING):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await ask(exchange)
        assert exchange.waiting == 0
        asking = asyncio.create_task(ask(exchange))
        await turns(50)
        for job in script.sent:  # the late results of those before come first
            script.answer(job)
        record = await asking
    assert record.headers[-1] == script.sent[-1].headers[-1]


async def test_a_job_that_the_topic_refuses_costs_only_itself() -> None:
    class Refusing(Script):
        async def send(self, message: Message) -> str:
            if b'"large"' in (message.value or b""):
                raise JobError(Reason.TOO_LARGE, "too large")
            return await super().send(message)

    async with Exchange(Refusing()) as exchange:
        good, bad, also_good = await asyncio.gather(
            ask(exchange), ask(exchange, "large"), ask(exchange), return_exceptions=True
        )
        assert isinstance(good, Record)
        assert isinstance(also_good, Record)
        assert isinstance(bad, JobError)


async def test_a_file_that_cannot_be_read_frees_its_turn() -> None:
    async def prepare(_: str) -> Message:
        raise JobError(Reason.NOT_FOUND, "there is no such file")

    async with Exchange(Script()) as exchange:
        for _ in range(2 * module.MAX_SENDING):
            with pytest.raises(JobError, match="no such file"):
                await exchange.ask(prepare, lambda _: None)
        await ask(exchange)


async def test_results_that_cannot_be_read_any_more_end_all_jobs_and_those_that_follow() -> None:
    class Ending(Script):
        async def poll(self, wait: float) -> list[Record]:
            await self.answering.wait()
            raise KafkaSetupError("gone")

    script = Ending(outcome=None)
    script.answering.clear()
    async with Exchange(script) as exchange:
        asking = [asyncio.create_task(ask(exchange)) for _ in range(3)]
        await turns()
        script.answering.set()
        for each in asking:
            with pytest.raises(KafkaSetupError, match="gone"):
                await each
        with pytest.raises(KafkaSetupError, match="gone"):
            await ask(exchange)


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_closing_ends_the_jobs_that_are_waited_for(acknowledged: bool) -> None:
    script = Script(outcome=None)
    if not acknowledged:
        script.acknowledging.clear()
    exchange = Exchange(script)
    async with exchange:
        asking = [asyncio.create_task(ask(exchange)) for _ in range(2 * module.MAX_SENDING)]
        await turns()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(result) for result in results} == {ClientClosed}
    assert script.open == 0
