"""A client without an event loop: the caller's thread iterates, the client's computes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from worker.client import ClientClosed, JobRefused
from worker.client.base import Call, Client
from worker.client.sync import SyncClient
from worker.contract.jobs import Category, RawImage
from worker.contract.results import Result
from worker.errors import KafkaSetupError

BOUND = 20.0


class Fake(Client):
    """Answers an image with its own first byte; an image `w` waits, `r` is refused."""

    def __init__(self, fails: Exception | None = None) -> None:
        super().__init__(timeout=60.0, max_jobs=4)
        self._fails = fails
        self._open = False
        self.threads: set[int] = set()
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    async def open(self) -> None:
        if self._fails is not None:
            raise self._fails
        self._open = True

    async def close(self) -> None:
        self._open = False

    async def _ask(self, call: Call) -> Result:
        assert self._open
        self.threads.add(threading.get_ident())
        assert isinstance(call.content, RawImage)
        name = chr(call.content.data[0])
        if name == "w":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        await asyncio.sleep(0)
        if name == "r":
            return Result(415, "no image")
        return Result(0, "Success", (Category(0, name, 0.5),))


def names(outcomes: Any) -> set[str]:
    return {outcome.result.top1.name for outcome in outcomes}


def test_calls_from_many_threads() -> None:
    fake = Fake()
    with SyncClient(fake) as client, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: client.classify(b"%c" % n), range(65, 85)))
    assert [result.top1 and result.top1.name for result in results] == [
        chr(n) for n in range(65, 85)
    ]
    assert len(fake.threads) == 1
    assert threading.get_ident() not in fake.threads


async def test_it_works_within_a_running_loop() -> None:
    with SyncClient(Fake()) as client:
        assert names(client.classify_many([b"a", b"b"])) == {"a", "b"}


def test_what_a_call_raises_is_raised() -> None:
    with SyncClient(Fake()) as client:
        with pytest.raises(JobRefused, match="415"):
            client.classify(b"r")
        with pytest.raises(TypeError, match="is no image"):
            client.classify(5)  # type: ignore[arg-type]


def test_images_are_looked_for_in_the_callers_thread_and_as_there_is_room() -> None:
    looked: list[int] = []
    yielded = 0

    def images() -> Iterator[bytes]:
        for number in range(40):
            looked.append(threading.get_ident())
            assert len(looked) - yielded <= 4
            yield b"%c" % (65 + number)

    with SyncClient(Fake()) as client:
        found = set()
        for outcome in client.classify_many(images()):
            found.add(outcome.number)
            yielded += 1
    assert found == set(range(40))
    assert set(looked) == {threading.get_ident()}


def test_what_looking_for_images_raises_comes_after_the_outcomes_before() -> None:
    def images() -> Iterator[bytes]:
        yield b"a"
        yield b"b"
        raise LookupError("no more")

    with SyncClient(Fake()) as client:
        outcomes = client.classify_many(images())
        assert names([next(outcomes), next(outcomes)]) == {"a", "b"}
        with pytest.raises(LookupError, match="no more"):
            next(outcomes)
        with pytest.raises(TypeError, match="pass a list"):
            client.classify_many("photos")
        with pytest.raises(TypeError, match="is no image"):
            list(client.classify_many([b"a", 5]))


def test_stopping_early_withdraws_what_is_under_way() -> None:
    fake = Fake()
    with SyncClient(fake) as client:
        outcomes = client.classify_many([b"w", b"a"])
        assert next(outcomes).number == 1
        assert fake.waiting.wait(BOUND)
        outcomes.close()
        assert fake.cancelled.wait(BOUND)
        assert names(client.classify_many([b"b"])) == {"b"}


def test_closing_ends_calls_in_other_threads() -> None:
    fake = Fake()
    client = SyncClient(fake)
    client.open()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(lambda: client.classify(b"w"))
        many = threads.submit(lambda: list(client.classify_many([b"w", b"w"])))
        assert fake.waiting.wait(BOUND)
        client.close()
        for call in (one, many):
            with pytest.raises(ClientClosed, match="closed"):
                call.result(BOUND)
    with pytest.raises(ClientClosed, match="not open"):
        client.classify(b"a")
    with pytest.raises(ClientClosed, match="not open"):
        client.classify_many([b"a"])
    client.close()  # again: nothing


def test_it_can_be_opened_again() -> None:
    client = SyncClient(Fake())
    for _ in range(2):
        with client:
            assert names([*client.classify_many([b"a"])]) == {"a"}


def test_what_cannot_connect_says_so() -> None:
    with (
        pytest.raises(KafkaSetupError, match="no broker"),
        SyncClient(Fake(KafkaSetupError("no broker"))),
    ):
        pytest.fail("it is not open")
