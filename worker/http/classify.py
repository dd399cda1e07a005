"""`POST /image-classification`: the reference service's contract over the common pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import HttpVersion11, web

from worker.budget import Budget, Reservation
from worker.errors import Failure, JobError, Reason, Stage
from worker.http.answers import answer, new_log_id
from worker.http.bodies import CODINGS, DamagedBodyError, Decoder
from worker.jobs import Job, Outcome
from worker.metrics import Metrics
from worker.parsing import decode_json, job_from_object
from worker.settings import HttpSettings

__all__ = ["PATH", "Classify"]

PATH = "/image-classification"

JSON_TYPES = frozenset({"application/json", "text/json"})
UNSAID_TYPES = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})
"""What arrives from clients that name no type: nothing, which aiohttp calls octet-stream, or their
library's default for a string. The reference's documented Go and Node.js clients are such."""

JSON_OVERHEAD = 64 * 1024
"""Bytes of a body besides its image."""

Process = Callable[[Job, Reservation], Awaitable[Outcome]]

log = structlog.get_logger(__name__)


class Classify:
    """Answers requests within a bound; for one event loop. Turns all away until it is opened.

    Args:
        max_image_bytes: largest encoded image that the pipeline accepts.
    """

    def __init__(self, settings: HttpSettings, max_image_bytes: int, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        # Base64 makes four bytes of three, and may come in lines.
        self.max_body_bytes = max_image_bytes * 3 // 2 + JSON_OVERHEAD
        self._budget = budget = Budget(settings.max_jobs, settings.max_bytes)
        metrics.requests_in_flight.set_function(lambda: budget.jobs)
        metrics.requests_buffered.set_function(lambda: budget.bytes)
        self._process: Process | None = None
        self._draining = False

    def open(self, process: Process) -> None:
        """Take requests from now on, and have the pipeline's `process` answer them."""
        self._process = process

    async def drain(self, timeout: float) -> None:
        """Turn new requests away, and wait at most `timeout` seconds for those under way."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                while self._budget.jobs:
                    await self._budget.wait_freed()
        except TimeoutError:
            return

    async def expect(self, request: web.Request) -> web.Response | None:
        """Answer `Expect: 100-continue`: ask for the body, or refuse it before it is sent.

        Raises:
            web.HTTPExpectationFailed: something else is expected.
        """
        if request.version < HttpVersion11:
            # Its clients know of no answer before the answer.
            return None
        if request.headers["Expect"].lower() != "100-continue":
            raise web.HTTPExpectationFailed
        failure = self._refusal(request)
        if failure is not None:
            return answer(new_log_id(), self._counted(failure))
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What is counted is the answer proper, which has not begun.
        request.writer.output_size = 0
        return None

    async def infer(self, request: web.Request) -> web.Response:
        """Answer one request; a client that disconnects withdraws it."""
        log_id = new_log_id()
        failure = self._refusal(request)
        if failure is not None:
            return answer(log_id, self._counted(failure))
        held = self._budget.reserve(0)
        try:
            with self._metrics.request_duration.time():
                outcome = self._counted(await self._outcome(request, held))
                _log_outcome(log_id, outcome)
                return answer(log_id, outcome)
        except asyncio.CancelledError:
            self._metrics.requests.labels("failure", "disconnected").inc()
            raise
        finally:
            held.release()

    def _refusal(self, request: web.Request) -> Failure | None:
        """Why a request is not even read, or None."""
        if self._draining:
            return _unavailable("the service is stopping")
        if self._process is None:
            return _unavailable("the service is loading its model")
        if self._budget.free_jobs == 0:
            return _unavailable("the service has no room for another request")
        if (request.content_length or 0) > self.max_body_bytes:
            return self._too_large().as_failure()
        return None

    async def _outcome(self, request: web.Request, held: Reservation) -> Outcome:
        try:
            body = await self._read(request, held)
            document = decode_json(body, "request body", "send JSON in UTF-8, the image in Base64")
            job = job_from_object(document)
        except JobError as error:
            return error.as_failure()
        assert self._process is not None, "closed doors let nobody in"
        return await self._process(job, held)

    async def _read(self, request: web.Request, held: Reservation) -> bytearray:
        """The request's body.

        Raises:
            JobError: it is too large, too slow, empty, damaged on its way, or announced as
                something else than JSON.
        """
        decoder = Decoder(_accepted_coding(request))
        body, arrived = bytearray(), 0
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                async for chunk in request.content.iter_any():
                    arrived += len(chunk)
                    if arrived > self.max_body_bytes:
                        raise self._too_large()
                    for piece in decoder.feed(chunk):
                        self._take(piece, body, held)
            decoder.end()
        except TimeoutError as error:
            raise JobError(
                Reason.REQUEST_TIMEOUT,
                f"the request body did not arrive within {self._settings.read_timeout:g} s",
            ) from error
        except web.RequestPayloadError as error:
            raise JobError(
                Reason.NOT_JSON,
                "the request body cannot be read; check its chunks and its length",
            ) from error
        except DamagedBodyError as error:
            raise JobError(
                Reason.NOT_JSON, f"the request body {error}; check how it is compressed"
            ) from error
        if not body:
            raise JobError(Reason.EMPTY_VALUE, "the request body is empty; send a JSON object")
        return body

    def _take(self, piece: bytes, body: bytearray, held: Reservation) -> None:
        # By what arrives, not by what is announced: nobody can take room with a header alone.
        held.add(len(piece))
        if self._budget.bytes > self._budget.max_bytes:
            raise JobError(
                Reason.UNAVAILABLE, "the service has no room for this body; try again later"
            )
        body += piece
        if len(body) > self.max_body_bytes:
            raise self._too_large()

    def _too_large(self) -> JobError:
        return JobError(
            Reason.TOO_LARGE,
            f"the request body exceeds {self.max_body_bytes} bytes; send a smaller image",
        )

    def _counted(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failure):
            self._metrics.requests.labels("failure", outcome.reason.label).inc()
        else:
            self._metrics.requests.labels("success", "ok").inc()
        return outcome


def _accepted_coding(request: web.Request) -> str:
    """The Content-Encoding of a body in JSON.

    Raises:
        JobError: it is announced as something else, or is encoded in a way not known here.
    """
    kind = request.content_type
    if kind not in JSON_TYPES | UNSAID_TYPES and not kind.endswith("+json"):
        raise JobError(
            Reason.CONTENT_TYPE,
            f"content type {kind[:80]!r} is not accepted; use application/json",
        )
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding not in CODINGS:
        raise JobError(
            Reason.CONTENT_TYPE,
            f"content encoding {coding[:80]!r} is not accepted; use gzip, deflate or none",
        )
    return coding


def _unavailable(why: str) -> Failure:
    return Failure(Reason.UNAVAILABLE, f"{why}; try again later", Stage.PARSE)


def _log_outcome(log_id: str, outcome: Outcome) -> None:
    """The one line, at debug level, of a request."""
    if isinstance(outcome, Failure):
        log.debug(
            "request_failed",
            log_id=log_id,
            reason=outcome.reason.label,
            stage=outcome.stage.value,
            message=outcome.message,
        )
    else:
        best = outcome.best
        log.debug(
            "request_done",
            log_id=log_id,
            label=None if best is None else best.name,
            score=None if best is None else best.score,
        )
