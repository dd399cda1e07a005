"""`POST /image-classification`: the contract of PaddleX's service, on the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import HttpVersion11, web

from worker.budget import Budget, Reservation
from worker.contract.jobs import Job, Outcome
from worker.contract.traces import TRACEPARENT
from worker.errors import Failure, JobError, Reason, Stage
from worker.http.reading import Reading
from worker.http.responses import new_log_id, outcome_response
from worker.http.upload import Upload
from worker.metrics import Metrics
from worker.metrics.exemplars import exemplar
from worker.metrics.labels import DISCONNECTED
from worker.offload import Offload
from worker.settings import HttpSettings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["PATH", "Classify"]

PATH = "/image-classification"

Process = Callable[[Job, Reservation], Awaitable[Outcome]]

log = structlog.get_logger(__name__)


class Classify:
    """Answers a bounded number of requests at a time; for one event loop.

    It refuses all requests until `open` is called.

    Args:
        max_image_bytes: largest encoded image that the pipeline accepts.
        tracer: makes spans of requests; None without tracing.
    """

    def __init__(
        self,
        settings: HttpSettings,
        max_image_bytes: int,
        metrics: Metrics,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self._metrics = metrics
        self._succeeded = metrics.requests.labels("success", "ok")
        # Bound once: otherwise each line looks up the configuration, even if it is not written.
        self._log = log.bind()
        self._tracer = tracer
        self._budget = budget = Budget(settings.max_jobs, settings.max_bytes)
        self._upload = Upload(max_image_bytes, settings.read_timeout, budget)
        self._offload = Offload()
        metrics.requests_in_flight.set_function(lambda: budget.jobs)
        metrics.requests_buffered.set_function(lambda: budget.bytes)
        self._process: Process | None = None
        self._draining = False

    def open(self, process: Process) -> None:
        """Accept requests from now on.

        Args:
            process: answers them.
        """
        self._process = process

    async def drain(self, timeout: float) -> None:
        """Refuse new requests, and wait at most `timeout` seconds for those under way."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                while self._budget.jobs:
                    await self._budget.wait_freed()
        except TimeoutError:
            return

    async def expect(self, request: web.Request) -> web.Response | None:
        """Handle `Expect: 100-continue`: ask for the body, or refuse it before it is sent.

        Returns:
            The refusal, or None when the body was asked for.

        Raises:
            web.HTTPExpectationFailed: something else is expected.
        """
        if request.version < HttpVersion11:
            # HTTP/1.0 has no interim responses.
            return None
        if request.headers["Expect"].lower() != "100-continue":
            raise web.HTTPExpectationFailed
        failure = self._refusal(request)
        if failure is not None:
            return outcome_response(new_log_id(), self._counted(failure))
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp counts the bytes of the final response, and that has not begun.
        request.writer.output_size = 0
        return None

    async def infer(self, request: web.Request) -> web.Response:
        """Answer one request; the task is cancelled when the client disconnects.

        Returns:
            The result or the failure as JSON, with the HTTP status that goes with it.
        """
        if self._tracer is None:
            return await self._answer(request)
        with self._tracer.request(request.method, PATH, request.headers.items()) as note_status:
            response = await self._answer(request)
            note_status(response.status)
            return response

    async def _answer(self, request: web.Request) -> web.Response:
        log_id = new_log_id()
        failure = self._refusal(request)
        if failure is not None:
            return outcome_response(log_id, self._counted(failure))
        held = self._budget.reserve(0)
        began = time.perf_counter()
        outcome: Outcome | None = None
        try:
            outcome = await self._outcome(request, held)
            return outcome_response(log_id, outcome)
        except asyncio.CancelledError:
            self._metrics.requests.labels("failure", DISCONNECTED).inc()
            raise
        finally:
            seconds, trace = time.perf_counter() - began, request.headers.get(TRACEPARENT)
            # In the event loop's next turn: the answer goes first.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._note, log_id, outcome, seconds, trace)
            held.release()

    def _refusal(self, request: web.Request) -> Failure | None:
        """Return why a request is refused before its body is read, or None."""
        if self._draining:
            return _unavailable("the service is stopping")
        if self._process is None:
            return _unavailable("the service is loading its model")
        if self._budget.free_jobs == 0:
            return _unavailable("the service has no room for another request")
        if (request.content_length or 0) > self._upload.max_bytes:
            return self._upload.too_large().as_failure()
        return None

    async def _outcome(self, request: web.Request, held: Reservation) -> Outcome:
        try:
            job = await self._job(request, held)
        except JobError as error:
            return error.as_failure()
        assert self._process is not None, "_refusal refuses requests before open()"
        return await self._process(job, held)

    async def _job(self, request: web.Request, held: Reservation) -> Job:
        """Read the request's job.

        The body is dropped afterwards: only the job's image is kept, and counted in `held`.

        Raises:
            JobError: the request has no valid job.
        """
        reading = Reading(request)
        body = await self._upload.read(request, held)
        job = await self._offload.run(partial(reading.job, body), len(body), held)
        held.add(job.image.nbytes - len(body))
        return job

    def _counted(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failure):
            self._metrics.requests.labels("failure", outcome.reason.label).inc()
        else:
            self._succeeded.inc()
        return outcome

    def _note(
        self, log_id: str, outcome: Outcome | None, seconds: float, trace: str | None
    ) -> None:
        self._metrics.request_duration.observe(seconds, exemplar(trace))
        if outcome is not None:
            self._log_outcome(log_id, self._counted(outcome))

    def _log_outcome(self, log_id: str, outcome: Outcome) -> None:
        """Write the request's one log line, at debug level."""
        if isinstance(outcome, Failure):
            self._log.debug(
                "request_failed",
                log_id=log_id,
                reason=outcome.reason.label,
                stage=outcome.stage.value,
                message=outcome.message,
            )
        else:
            best = outcome.best
            self._log.debug(
                "request_done",
                log_id=log_id,
                label=None if best is None else best.name,
                score=None if best is None else best.score,
            )


def _unavailable(why: str) -> Failure:
    return Failure(Reason.UNAVAILABLE, f"{why}; try again later", Stage.PARSE)
