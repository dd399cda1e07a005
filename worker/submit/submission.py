"""Submits items through a client for Kafka, and saves and reports what becomes of each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from worker.client.errors import JobRefused
from worker.client.kafka import KafkaClient
from worker.client.requests import JobRequest
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import UrlImage
from worker.errors import JobError
from worker.images.local_files import read_file
from worker.submit.item_result import ItemResult
from worker.submit.items import Encoding, Item
from worker.submit.serve import FileServer

if TYPE_CHECKING:
    from worker.client.outcomes import JobOutcome
    from worker.settings import Settings
    from worker.submit.saving import Saver

__all__ = ["Options", "Submission"]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a submission.

    Attributes:
        top_k: number of categories; None leaves it to the worker.
        visualize: False asks for no pictures.
        timeout: seconds that each job has, from its turn to be sent to its result.
        saver: saves what results hold; None saves nothing.
        serve_host: address of this machine at which the worker fetches files sent as `URL`.
    """

    top_k: int | None = None
    visualize: bool = True
    timeout: float = 60.0
    saver: Saver | None = None
    serve_host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ItemRequest(JobRequest):
    """An item as the client gets it.

    Attributes:
        number: of the item, from 1.
        key: under which its file is served, if it is sent as `URL`.
    """

    number: int
    item: Item
    key: str | None = None


class Submission:
    """One run over some items.

    Args:
        taken: called with each item before it is sent.
        answered: called with the result of each item, in the order in which they end.
        clock: measures latencies.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        taken: Callable[[Item], None],
        answered: Callable[[ItemResult], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._options = options
        self._taken = taken
        self._answered = answered
        self._client = KafkaClient(settings=settings, timeout=options.timeout, clock=clock)
        self._server = FileServer(options.serve_host)

    async def run(self, items: AsyncIterator[Item]) -> None:
        """Submit all items and wait until each has a result, or has failed.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or no longer.
            WorkerError: pictures cannot be saved, or files cannot be served.
        """
        options = self._options
        outcomes = self._client.classify_many(
            self._requests(items),
            top_k=options.top_k,
            visualize=None if options.visualize else False,
        )
        async with self._client, aclosing(outcomes):
            try:
                async for outcome in outcomes:
                    self._end(outcome)
            finally:
                await self._server.close()

    async def _requests(self, items: AsyncIterator[Item]) -> AsyncIterator[_ItemRequest]:
        """Make requests of items; those that cannot be sent have their result at once."""
        number = 0
        async for item in items:
            number += 1
            self._taken(item)
            try:
                yield await self._request(number, item)
            except JobError as error:
                failed = ItemResult(number, item, error=error.message, reason=error.reason.label)
                self._answered(failed)

    async def _request(self, number: int, item: Item) -> _ItemRequest:
        send_as: Literal["raw", "base64"] = "raw" if item.encoding is Encoding.RAW else "base64"
        make = partial(_ItemRequest, job_id=item.name, send_as=send_as, number=number, item=item)
        match item.content:
            case JobError() as error:
                raise error
            case UrlImage(url):
                return make(image=url)
            case Path() as path if item.encoding is Encoding.URL:
                await asyncio.to_thread(read_file, path, 0)  # raises if there is no such file
                key = secrets.token_hex(16)
                return make(image=await self._server.offer(key, path), key=key)
            case image:
                return make(image=image)

    def _end(self, outcome: JobOutcome[_ItemRequest]) -> None:
        request = outcome.source
        if request.key is not None:
            self._server.withdraw(request.key)
        self._answered(self._result(request.number, request.item, outcome))

    def _result(self, number: int, item: Item, outcome: JobOutcome[_ItemRequest]) -> ItemResult:
        code: int | None = None
        error: str | None = None
        reason: str | None = None
        match outcome.error:
            case None:
                code = 0
            case JobRefused() as refused:
                code, error = refused.code, refused.message
                reason = refused.reason if code is None else None
            case other:
                error = str(other)
        saver, result = self._options.saver, outcome.result
        saved: Path | None = None
        if saver is not None and result is not None:
            saved = saver.save(number, item.name, result)
        return ItemResult(
            number,
            item,
            outcome.record_id,
            code=code,
            error=error,
            reason=reason,
            categories=() if result is None else result.categories,
            latency=outcome.latency,
            saved=saved,
            model=None if result is None else result.model,
        )
