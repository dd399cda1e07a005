"""Fetches images over http and https from servers that nobody here trusts.

Bounded in everything: time (connect, silence, attempt, all attempts, the job's own deadline),
bytes, redirects, attempts, connections per host and in all. Every socket is judged before it
connects.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Self

import aiohttp

from worker.errors import JobError, Reason, Stage
from worker.images.addresses import AddressPolicy, parse_redirect, parse_url
from worker.images.backoff import backoff_delay, parse_retry_after
from worker.images.fetch_errors import ForbiddenAddressError, StatusError, explain
from worker.images.host_limit import HostLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from aiohttp.abc import AbstractResolver
    from aiohttp.connector import AddrInfoType
    from yarl import URL

    from worker.settings import FetchSettings

__all__ = ["ImageFetcher"]

_HEADERS = {
    # A compressed answer would have to be bounded twice, and images do not shrink.
    "Accept-Encoding": "identity",
    # Servers that choose a format by this header must not choose one that is not decoded (AVIF).
    "Accept": "image/jpeg,image/png,image/webp,image/bmp,image/gif,image/tiff,*/*;q=0.1",
}
_PLAIN_ENCODINGS = frozenset({"", "identity", "aws-chunked"})
"""Values of `Content-Encoding` that leave the body as it is; S3 sends the last one on by
mistake."""

_SUCCESS = frozenset({200, 203})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ImageFetcher:
    """Fetches images; an async context manager that owns the HTTP session.

    Args:
        settings: limits, time-outs, and the networks that may be reached although not public.
        clock: seconds since the epoch, in which deadlines are given.
        sleep: waits between attempts.
        resolver: name resolution, the system's when None.
        on_failed_attempt: told of each attempt that failed and is followed by another.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolver: AbstractResolver | None = None,
        on_failed_attempt: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_failed_attempt = on_failed_attempt
        self._policy = AddressPolicy(settings.allow_networks)
        self._clock = clock
        self._sleep = sleep
        self._resolver = resolver
        self._hosts = HostLimit(settings.per_host)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # `_slots` is the limit: waiting for it does not use up an attempt's time
                limit_per_host=self._settings.per_host,
                resolver=self._resolver,
                socket_factory=self._judged_socket,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout,
                sock_read=self._settings.read_timeout,
            ),
            headers=_HEADERS | {"User-Agent": self._settings.user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=self._settings.trust_env,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, url: str, deadline: float | None = None) -> bytes:
        """The bytes at `url`.

        Args:
            url: an http or https URL.
            deadline: seconds since the epoch after which the image is of no use; None means never.

        Raises:
            JobError: `BAD_URL`, `FORBIDDEN_URL`, `NOT_FOUND`, `FETCH_REFUSED` or `TOO_LARGE` at
                once; `FETCH_FAILED`, `FETCH_TIMEOUT` or `DEADLINE_EXCEEDED` after as many attempts
                as the error says.
        """
        target = parse_url(url)
        host = target.raw_host or ""
        self._policy.check(host)
        now = asyncio.get_running_loop().time()
        expiry = None if deadline is None else now + deadline - self._clock()
        waiting = asyncio.timeout_at(expiry)
        try:
            async with waiting, self._hosts.hold(host):
                # A place at the host is held between attempts too: while a host fails, its other
                # fetches wait instead of joining in. From here on attempts keep the time
                # themselves.
                waiting.reschedule(None)
                return await self._try(target, expiry)
        except TimeoutError as error:
            raise _expired(0) from error

    async def _try(self, url: URL, expiry: float | None) -> bytes:
        """Attempts until one succeeds, one fails for good, or there is no time for another."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.deadline
        if expiry is not None:
            end = min(end, expiry)
        attempt = 0
        while True:
            attempt += 1
            wait: float | None = None
            try:
                async with (
                    self._slots,
                    asyncio.timeout(min(self._settings.total_timeout, end - loop.time())),
                ):
                    return await self._follow(url)
            except (aiohttp.ClientError, OSError, ValueError, JobError) as error:
                failure = explain(error)
            except StatusError as error:
                failure, wait = explain(error), error.retry_after
            if expiry is not None and loop.time() >= expiry:
                raise _expired(attempt) from failure
            delay = max(wait or 0.0, self._backoff(attempt))
            if (
                not failure.transient
                or attempt >= self._settings.attempts
                or loop.time() + delay >= end
            ):
                failure.attempts = attempt
                raise failure
            self._on_failed_attempt()
            await self._sleep(delay)

    def _backoff(self, attempt: int) -> float:
        return backoff_delay(attempt, self._settings.backoff_initial, self._settings.backoff_max)

    async def _follow(self, url: URL) -> bytes:
        """One attempt: the image at `url`, or at where it redirects to."""
        if self._session is None:
            raise RuntimeError("use the fetcher in an async with block")
        for _ in range(self._settings.max_redirects + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response)
                url = parse_redirect(url, response.headers.get("Location"))
            self._policy.check(url.raw_host or "")
        raise JobError(
            Reason.FETCH_REFUSED,
            f"the URL redirects more than {self._settings.max_redirects} times; use the final "
            "address",
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status not in _SUCCESS:
            retry_after = parse_retry_after(response.headers.get("Retry-After"), self._clock())
            raise StatusError(response.status, retry_after)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise JobError(
                Reason.FETCH_REFUSED,
                f"the image's server compresses its answer ({encoding[:32]!r}) although asked not "
                "to; turn that off for images",
            )
        most = self._settings.max_bytes
        if (response.content_length or 0) > most:
            raise _too_large(most)
        # One buffer, not a list of chunks: a server may send single bytes, a list entry each.
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                raise _too_large(most)
        return bytes(body)

    def _judged_socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for one resolved address, unless it may not be reached.

        Called for every address just before it is connected to, so it sees through names that
        resolve to private addresses, names that change between check and use, redirects, and
        literals.
        """
        family, kind, protocol, _, address = info
        try:
            self._policy.check(str(address[0]))
        except JobError as verdict:
            raise ForbiddenAddressError(verdict) from verdict
        return socket.socket(family, kind, protocol)


def _too_large(most: int) -> JobError:
    return JobError(
        Reason.TOO_LARGE, f"the image has more than the {most} bytes accepted; send a smaller one"
    )


def _expired(attempts: int) -> JobError:
    return JobError(
        Reason.DEADLINE_EXCEEDED,
        "the job's deadline passed while its image was being fetched",
        attempts=max(1, attempts),
        stage=Stage.FETCH,
    )
