"""An event loop in a thread of its own, through which callers without one use what needs a loop."""

from __future__ import annotations

import asyncio

# Before the hook below is registered, so that it runs before this module's own: by then no executor
# takes calls any more, and what is to be stopped needs some.
import concurrent.futures.thread
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import Any, Generic, TypeVar

__all__ = ["CLOSED", "Portal"]

T = TypeVar("T")
R = TypeVar("R")

Start = Callable[[AsyncExitStack], Awaitable[T]]

_FORKED = "a {} works in the process that made it, and in no fork: make one in each"
_CLOSED = "the {} is closed: make another"
CLOSED = _CLOSED.format("pipeline")


class Portal(Generic[T]):
    """Starts something in an event loop of its own, and takes calls for it from any thread.

    It ends with `close`, when it is garbage-collected, and with the interpreter.

    Args:
        start: starts it, in the loop; what it puts on the stack is called at the end.
        name: of the thread.
        thing: what the messages of errors call it.
        error: what is raised when it cannot be used: `RuntimeError`, or a subclass.

    Attributes:
        value: what `start` returned.

    Raises:
        Exception: whatever `start` raises.
    """

    def __init__(
        self,
        start: Start[T],
        name: str,
        *,
        thing: str = "pipeline",
        error: type[RuntimeError] = RuntimeError,
    ) -> None:
        self._thing = thing
        self._error = error
        self._process = os.getpid()
        self._lock = threading.Lock()
        # Invariant: read and set under the lock, so that no call comes after the end has begun.
        self._closed = False
        begun: Future[_Life] = Future()
        started: Future[T] = Future()
        # A daemon: the interpreter would otherwise wait for it before telling it to end.
        threading.Thread(target=_run, args=(start, begun, started), name=name, daemon=True).start()
        self._life = life = begun.result()
        weakref.finalize(self, life.end).atexit = False  # at exit it would come too late
        try:
            self.value = started.result()
        except BaseException:
            # KeyboardInterrupt among others: what has begun to start must not stay.
            self.close()
            raise

    def submit(self, call: Coroutine[Any, Any, R]) -> Future[R]:
        """Begin a call on the portal's event loop.

        Args:
            call: a coroutine; it is closed if the portal refuses it.

        Returns:
            The future of its result; cancelling it cancels the call.

        Raises:
            RuntimeError: it is closed, or this is a fork of the process that made it.
        """
        # Not in a fork: there the thread that holds the lock may be missing.
        if os.getpid() == self._process:
            with self._lock:
                if not self._closed:
                    return asyncio.run_coroutine_threadsafe(call, self._life.loop)
        call.close()
        raise self._error(self._refusal())

    def call(self, call: Coroutine[Any, Any, R]) -> R:
        """Make a call, and wait for its end.

        Returns:
            What it returns.

        Raises:
            RuntimeError: it is closed, or this is a fork of the process that made it.
            Exception: whatever the call raises.
        """
        future = self.submit(call)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise self._error(_CLOSED.format(self._thing)) from None
        finally:
            future.cancel()

    def check(self) -> None:
        """Refuse to be used when it cannot be.

        Raises:
            RuntimeError: it is closed, or this is a fork of the process that made it.
        """
        refusal = self._refusal()
        if refusal is not None:
            raise self._error(refusal)

    def close(self) -> None:
        """Cancel all calls, end what was started, and wait for the end; nothing in a fork."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._closed = True
        self._life.end_and_wait()

    def _refusal(self) -> str | None:
        # Threads do not survive a fork: waiting for this one would never end.
        if os.getpid() != self._process:
            return _FORKED.format(self._thing)
        return _CLOSED.format(self._thing) if self._closed else None


class _Life:
    """A loop's main task, and how to end it; knows nothing of the portal, which may be gone."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.loop = asyncio.get_running_loop()
        self.thread = threading.current_thread()
        self._process = os.getpid()
        self._task = task
        self._ending = False

    def end(self) -> None:
        """Tell it to end; in any thread, any number of times. Nothing in a fork."""
        if os.getpid() == self._process:
            with suppress(RuntimeError):  # it has ended already
                self.loop.call_soon_threadsafe(self._cancel)

    def end_and_wait(self) -> None:
        """Tell it to end, and wait until it has; nothing in a fork."""
        self.end()
        if os.getpid() == self._process:
            self.thread.join()

    def _cancel(self) -> None:
        # A second time would disturb the end that has begun.
        if not self._ending:
            self._ending = True
            self._task.cancel()


_lives: set[_Life] = set()
"""Those that have not ended yet, whether their portals still exist or not."""


def _run(start: Start[T], begun: Future[_Life], started: Future[T]) -> None:
    try:
        asyncio.run(_live(start, begun, started))
    except asyncio.CancelledError:
        pass  # the regular end
    finally:
        del start


async def _live(start: Start[T], begun: Future[_Life], started: Future[T]) -> None:
    life = _Life()
    _lives.add(life)
    begun.set_result(life)
    try:
        async with AsyncExitStack() as stack:
            started.set_result(await start(stack))
            await asyncio.Event().wait()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)
    finally:
        _lives.discard(life)


def _end_all() -> None:
    for life in list(_lives):
        life.end_and_wait()


# `atexit` comes after the threads of executors have ended, and never in a child of
# `multiprocessing`. This hook is what `concurrent.futures` itself uses, in all versions of Python
# that are supported.
threading._register_atexit(_end_all)  # type: ignore[attr-defined]  # noqa: SLF001
