"""What clients have in common: the methods, options and time-outs of `classify`."""

from __future__ import annotations

import asyncio
import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from worker.client.errors import (
    ClientClosed,
    JobRefused,
    ResultTimeout,
    ServiceError,
    refusal_reason,
)
from worker.client.many import MAX_BYTES, Hold, run_each
from worker.client.outcomes import Classification, JobOutcome
from worker.client.requests import (
    Content,
    JobRequest,
    Source,
    check_limits,
    check_several,
    content_of,
    size_of,
)
from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import JobError, SettingsError

if TYPE_CHECKING:
    from worker.contract.results import Result

__all__ = ["TIMEOUT", "Call", "Client", "closed"]

TIMEOUT = 60.0
"""Seconds that a job has."""

S = TypeVar("S")


@dataclass(slots=True)
class Call:
    """One job, as it is on its way.

    Attributes:
        hold: is told how many bytes it holds.
        deadline: when its time is over, in seconds of the event loop's clock.
        record_id: of its record, once the brokers have acknowledged that.
        began: when it was sent, in seconds of the client's clock; None before.
        ended: when its result came; None before.
    """

    content: Content
    job_id: str
    top_k: int | None
    visualize: bool | None
    send_as: Literal["raw", "base64"] | None
    hold: Hold = field(default_factory=Hold)
    deadline: float = math.inf
    record_id: str | None = None
    began: float | None = None
    ended: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from sending it to its result; None if there is none."""
        if self.began is None or self.ended is None:
            return None
        return self.ended - self.began


class Client(ABC):
    """Classifies images by way of a service; a context manager, for one event loop.

    Args:
        timeout: seconds that a job has where a call does not say.
        max_jobs: most jobs of `classify_many` under way where a call does not say.
        send_as: how bytes travel where a request does not say.
        clock: measures latencies.

    Raises:
        SettingsError: an argument is wrong; the message says which.
    """

    def __init__(
        self,
        timeout: float,
        max_jobs: int,
        send_as: Literal["raw", "base64"] = "raw",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not timeout > 0:
            raise SettingsError(f"timeout is to be seconds, more than 0, not {timeout}")
        if send_as not in {"raw", "base64"}:
            raise SettingsError(f"send_as is to be 'raw' or 'base64', not {send_as!r}")
        self._send_as = send_as
        self._timeout = timeout
        self._max_jobs = max_jobs
        self._clock = clock

    @abstractmethod
    async def open(self) -> None:
        """Connect; `async with` does so."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect; `async with` does so. Jobs that are waited for raise `ClientClosed`."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def classify(
        self,
        image: Source | JobRequest,
        *,
        top_k: int | None = None,
        visualize: bool | None = None,
        timeout: float | None = None,
    ) -> Classification:
        """Classify one image. Any number of calls may be under way at the same time.

        Args:
            image: the path of a file, a URL, the bytes of an image file, a job as a dict, or one of
                these with a job id and options of its own (`JobRequest`).
            top_k: most categories, 1 or more; None leaves it to the worker.
            visualize: whether the result has a picture with its label; None leaves it to the
                worker.
            timeout: seconds for everything: reading the file, waiting for a turn, sending, and the
                result. None is the client's own.

        Returns:
            The result.

        Raises:
            JobRefused: the worker refuses the image, or the file cannot be read or is too large.
            ResultTimeout: there is no result in time.
            ServiceError: the service cannot be reached, or answers something else.
            KafkaSetupError: Kafka cannot be used, or no longer.
            ClientClosed: the client is not open, or was closed meanwhile.
            TypeError: `image` is none of these.
        """
        outcome = await self._classify(0, image, Hold(), top_k, visualize, timeout)
        return outcome.unwrap()

    def classify_many(
        self,
        images: Iterable[S] | AsyncIterable[S],
        *,
        top_k: int | None = None,
        visualize: bool | None = None,
        timeout: float | None = None,
        max_jobs: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> AsyncGenerator[JobOutcome[S]]:
        """Classify many images, a bounded number at a time.

        An image is taken from `images` when there is room for it: never more than `max_jobs` are
        between there and the caller, and none is taken while these hold `max_bytes`. So `images`
        may be endless, and a caller that is slow slows everything down. An image that fails costs
        only itself. If the caller stops early, jobs that were sent are worked on all the same.

        Args:
            images: sources as for `classify`, or an iterable that waits for them (`async for`).
            top_k: as for `classify`, for all.
            visualize: likewise.
            timeout: likewise, for each.
            max_jobs: jobs under way; None is the client's own number.
            max_bytes: bytes of images and results held at which no more images are taken.

        Yields:
            The outcome of each image, in the order in which they end; `number` and `source` tell
            which it is of.

        Raises:
            KafkaSetupError: Kafka cannot be used, or no longer.
            ClientClosed: the client is not open, or was closed meanwhile.
            TypeError: one of `images` is none, or `images` is one.
            SettingsError: a limit is below 1.
            Exception: what `images` raises, after the outcomes of those before.
        """
        check_several(images)
        check_limits(max_jobs=max_jobs, max_bytes=max_bytes)

        async def call(number: int, image: S, hold: Hold) -> JobOutcome[S]:
            return await self._classify(number, image, hold, top_k, visualize, timeout)

        return run_each(images, call, max_jobs or self._max_jobs, max_bytes)

    @abstractmethod
    async def _ask(self, call: Call) -> Result:
        """Send a job and wait for its result.

        Raises:
            JobError: it cannot be sent.
            ServiceError: the service cannot be reached, or answers something else.
            KafkaSetupError: Kafka cannot be used.
            ClientClosed: the client is not open.
        """

    def _late(self, _: Call) -> str:
        """Say more of a job that is late."""
        return ""

    async def _classify(
        self,
        number: int,
        source: S,
        hold: Hold,
        top_k: int | None,
        visualize: bool | None,
        timeout: float | None,
    ) -> JobOutcome[S]:
        call = _call(source, hold, top_k, visualize)
        seconds = self._timeout if timeout is None else timeout
        result: Classification | None = None
        error: JobRefused | ResultTimeout | ServiceError | None = None
        call.deadline = asyncio.get_running_loop().time() + seconds
        limit = asyncio.timeout_at(call.deadline)
        try:
            async with limit:
                answer = await self._ask(call)
            if answer.code:
                reason = refusal_reason(answer.code)
                error = JobRefused(answer.code, reason, answer.message, call.job_id)
            else:
                result = Classification(
                    answer.categories,
                    answer.picture,
                    call.job_id,
                    answer.model,
                    answer.picture_omitted,
                )
            hold.set_result(len(answer.picture or b""))
        except TimeoutError:
            if not limit.expired():
                raise
            error = ResultTimeout(f"no result within {seconds:g} s{self._late(call)}", call.job_id)
        except JobError as wrong:
            error = JobRefused(None, wrong.reason.label, wrong.message, call.job_id)
        except ServiceError as wrong:
            error = wrong
        return JobOutcome(number, source, call.job_id, result, error, call.record_id, call.latency)


def _call(source: Any, hold: Hold, top_k: int | None, visualize: bool | None) -> Call:  # noqa: ANN401 - whatever the caller passed
    request = source if isinstance(source, JobRequest) else JobRequest(image=source)
    hold.set(size_of(request.image))
    content = content_of(request.image)
    return Call(
        content,
        _written_id(content) or request.job_id or secrets.token_hex(16),
        top_k if request.top_k is None else request.top_k,
        visualize if request.visualize is None else request.visualize,
        request.send_as,
        hold,
    )


def _written_id(content: Content) -> str | None:
    """The id that a job has which the caller wrote itself."""
    written = content.get("jobId") if isinstance(content, Mapping) else None
    return written if isinstance(written, str) else None


def closed() -> ClientClosed:
    """Make the error of a client that is not open."""
    return ClientClosed("the client is not open: use it within `async with`, or call `open()`")
