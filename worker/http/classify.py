"""`POST /image-classification`: the reference service's contract over the common pipeline."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from worker.budget import Budget, Reservation
from worker.errors import Failure, JobError, Reason, Stage
from worker.jobs import Job, Outcome
from worker.messages import outcome_fields
from worker.metrics import Metrics
from worker.parsing import decode_json, job_from_object
from worker.settings import HttpSettings

__all__ = ["PATH", "Classify", "answer", "new_log_id"]

PATH = "/image-classification"

JSON_TYPES = frozenset({"application/json", "text/json"})
UNSAID_TYPES = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})
"""What arrives from clients that name no type: nothing, which aiohttp calls octet-stream, or their
library's default for a string. The reference's documented Go and Node.js clients are such."""

JSON_OVERHEAD = 64 * 1024
"""Bytes of a body besides its image."""

RETRY_AFTER = "1"
"""Seconds after which a client that was turned away may try again."""


class Classify:
    """Answers requests within a bound; for one event loop.

    Args:
        process: the pipeline.
        max_image_bytes: largest encoded image that the pipeline accepts.
    """

    def __init__(
        self,
        process: Callable[[Job, Reservation], Awaitable[Outcome]],
        settings: HttpSettings,
        max_image_bytes: int,
        metrics: Metrics,
    ) -> None:
        self._process = process
        self._settings = settings
        self._metrics = metrics
        # Base64 makes four bytes of three, and may come in lines.
        self.max_body_bytes = max_image_bytes * 3 // 2 + JSON_OVERHEAD
        self._budget = Budget(settings.max_jobs, settings.max_bytes)
        self._draining = False

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer one request; a client that disconnects withdraws it."""
        log_id = new_log_id()
        if self._draining or self._budget.free_jobs == 0:
            why = "is stopping" if self._draining else "has no room for another request"
            failure = Failure(
                Reason.UNAVAILABLE, f"the service {why}; try again later", Stage.PARSE
            )
            return answer(log_id, self._counted(failure), {"Retry-After": RETRY_AFTER})
        held = self._budget.reserve(request.content_length or 0)
        try:
            with self._metrics.request_duration.time():
                return answer(log_id, self._counted(await self._outcome(request, held)))
        finally:
            held.release()

    async def drain(self, timeout: float) -> None:
        """Turn new requests away, and wait at most `timeout` seconds for those under way."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                while self._budget.jobs:
                    await self._budget.wait_freed()
        except TimeoutError:
            return

    async def _outcome(self, request: web.Request, held: Reservation) -> Outcome:
        try:
            body = await self._read(request)
            held.add(len(body) - (request.content_length or 0))
            job = job_from_object(decode_json(body, "request body"))
        except JobError as error:
            return error.as_failure()
        return await self._process(job, held)

    async def _read(self, request: web.Request) -> bytes:
        """The request's body.

        Raises:
            JobError: it is too large, too slow, empty, or announced as something else than JSON.
        """
        kind = request.content_type
        if kind not in JSON_TYPES | UNSAID_TYPES and not kind.endswith("+json"):
            raise JobError(
                Reason.CONTENT_TYPE,
                f"content type {kind[:80]!r} is not accepted; use application/json",
            )
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise JobError(
                Reason.TOO_LARGE, f"the request body exceeds {self.max_body_bytes} bytes"
            ) from error
        except TimeoutError as error:
            raise JobError(Reason.REQUEST_TIMEOUT, "the request body came too slowly") from error
        if not body:
            raise JobError(Reason.EMPTY_VALUE, "the request body is empty; send a JSON object")
        return body

    def _counted(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failure):
            self._metrics.requests.labels("failure", outcome.reason.label).inc()
        else:
            self._metrics.requests.labels("success", "ok").inc()
        return outcome


def new_log_id() -> str:
    """A name for one request, by which its answer can be found again."""
    return str(uuid.uuid4())


def answer(log_id: str, outcome: Outcome, headers: Mapping[str, str] | None = None) -> web.Response:
    """An outcome as the reference's response: `logId`, `errorCode`, `errorMsg`, `result`."""
    return web.Response(
        body=orjson.dumps({"logId": log_id, **outcome_fields(outcome)}),
        status=outcome.status if isinstance(outcome, Failure) else 200,
        content_type="application/json",
        headers=headers,
    )
