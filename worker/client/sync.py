"""A client for programs without an event loop: the same one, in a loop in a thread."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, aclosing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from worker.client.errors import ClientClosed
from worker.client.many import MAX_BYTES
from worker.client.requests import check_several
from worker.engine.portal import Portal

if TYPE_CHECKING:
    from worker.client.base import Client
    from worker.client.outcomes import Classification, JobOutcome
    from worker.client.requests import JobRequest, Source

__all__ = ["SyncClient"]

S = TypeVar("S")
T = TypeVar("T")


class SyncClient:
    """Calls a client's methods and waits for them; a context manager, for any number of threads.

    The client runs in an event loop in a thread of its own, from `open` to `close`. It works where
    a loop runs already, as in notebooks. A fork of the process needs a client of its own.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._portal: Portal[Client] | None = None

    def open(self) -> None:
        """Connect; `with` does so.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or a topic is missing.
        """
        if self._portal is None:

            async def start(stack: AsyncExitStack) -> Client:
                return await stack.enter_async_context(self._client)

            self._portal = Portal(start, "classify-client", thing="client", error=ClientClosed)

    def close(self) -> None:
        """Disconnect; `with` does so. Jobs that are waited for raise `ClientClosed`."""
        portal, self._portal = self._portal, None
        if portal is not None:
            portal.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def classify(
        self,
        image: Source | JobRequest,
        *,
        top_k: int | None = None,
        visualize: bool | None = None,
        timeout: float | None = None,
    ) -> Classification:
        """Classify one image, and wait for its result.

        Arguments, result and errors are those of `Client.classify`.
        """
        portal = self._opened()
        return portal.call(
            portal.value.classify(image, top_k=top_k, visualize=visualize, timeout=timeout)
        )

    def classify_many(
        self,
        images: Iterable[S],
        *,
        top_k: int | None = None,
        visualize: bool | None = None,
        timeout: float | None = None,
        max_jobs: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Generator[JobOutcome[S]]:
        """Classify many images, a bounded number at a time.

        `images` is iterated in the caller's thread, while the next outcome is waited for. Otherwise
        arguments, outcomes and errors are those of `Client.classify_many`.
        """
        check_several(images)
        portal = self._opened()
        handover = _Handover(images)
        outcomes = portal.value.classify_many(
            handover.sources(),
            top_k=top_k,
            visualize=visualize,
            timeout=timeout,
            max_jobs=max_jobs,
            max_bytes=max_bytes,
        )
        return handover.run(portal, outcomes)

    def _opened(self) -> Portal[Client]:
        if self._portal is None:
            raise ClientClosed("the client is not open: use it within `with`, or call `open()`")
        return self._portal


class _Turn(Generic[T]):
    """What the event loop waits for the caller's thread to do.

    Args:
        outcome: what to hand out; None asks for the next source.
    """

    def __init__(self, outcome: T | None = None) -> None:
        self.outcome = outcome
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[Any] = self._loop.create_future()

    async def wait(self) -> Any:  # noqa: ANN401 - a source, of whatever type
        """Wait until it is done; in the event loop."""
        return await self._done

    def end(self, found: object = None) -> None:
        """It is done; in the caller's thread."""
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._end, found)

    def _end(self, found: object) -> None:
        if not self._done.done():
            self._done.set_result(found)


_NO_MORE = object()


class _Handover(Generic[S]):
    """Lets the event loop take sources from the caller's thread, and hand outcomes to it."""

    def __init__(self, images: Iterable[S]) -> None:
        self._images = images
        self._turns: queue.SimpleQueue[_Turn[JobOutcome[S]] | None] = queue.SimpleQueue()

    async def sources(self) -> AsyncIterator[S]:
        """The sources, each when the caller's thread has looked for it.

        Raises:
            Exception: what looking for one raised there.
        """
        while True:
            turn: _Turn[JobOutcome[S]] = _Turn()
            self._turns.put(turn)
            found = await turn.wait()
            if found is _NO_MORE:
                return
            if isinstance(found, _Raised):
                raise found.error
            yield found

    def run(
        self, portal: Portal[Client], outcomes: AsyncGenerator[JobOutcome[S]]
    ) -> Generator[JobOutcome[S]]:
        """Work in the caller's thread.

        Yields:
            The outcomes, as they come.
        """
        remaining = iter(self._images)
        pumping = portal.submit(self._pump(outcomes))
        pumping.add_done_callback(lambda _: self._turns.put(None))
        try:
            while (turn := self._turns.get()) is not None:
                if turn.outcome is None:
                    turn.end(_next(remaining))
                else:
                    yield turn.outcome
                    turn.end()
            pumping.result()
        except CancelledError:
            raise ClientClosed("the client was closed before all jobs had a result") from None
        finally:
            pumping.cancel()

    async def _pump(self, outcomes: AsyncGenerator[JobOutcome[S]]) -> None:
        async with aclosing(outcomes):
            async for outcome in outcomes:
                turn = _Turn(outcome)
                self._turns.put(turn)
                await turn.wait()


class _Raised:
    """What was raised in the caller's thread."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _next(remaining: Iterator[S]) -> object:
    try:
        return next(remaining, _NO_MORE)
    except Exception as error:  # noqa: BLE001 - raised in its turn, after the outcomes before it
        return _Raised(error)
