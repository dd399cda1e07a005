"""Fetches images over http and https from servers that are not trusted.

Bounded in everything: time (connect, silence, speed, attempt, all attempts, the job's own
deadline), bytes, redirects, attempts, connections per host and in all. Places are shared fairly
between hosts, and the time that a fetch waits for one counts for none of these but the job's own
deadline. Every socket is judged before it connects.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import TYPE_CHECKING, Self

import aiohttp

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import JobError, Reason, Stage
from worker.image_formats import MEDIA_TYPES
from worker.images.addresses import AddressPolicy, literal_address, parse_redirect, parse_url
from worker.images.allowance import Allowance
from worker.images.fetch_body import read_image
from worker.images.fetch_errors import ForbiddenAddressError, StatusError, UnresolvedError, explain
from worker.images.machines import machine_of
from worker.images.names import Names, SystemResolver, addresses
from worker.images.places import SLOW, FairPlaces, HostPlaces, Place, Seat
from worker.images.watch import Watch
from worker.proxies import proxy_for
from worker.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.connector import AddrInfoType
    from yarl import URL

    from worker.settings import FetchSettings

__all__ = ["ImageFetcher"]

_HEADERS = {
    # A compressed answer would have to be bounded twice, and images do not shrink.
    "Accept-Encoding": "identity",
    # Servers that choose a format by this header must not choose one that is not decoded (AVIF).
    "Accept": ",".join((*MEDIA_TYPES, "*/*;q=0.1")),
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ImageFetcher:
    """Fetches images; an async context manager that owns the HTTP session.

    Args:
        settings: limits, time-outs, and the networks that may be reached although not public.
        clock: what deadlines and pauses go by.
        resolver: name resolution, the system's when None.
        on_failed_attempt: called for each failed attempt that is followed by another.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        resolver: AbstractResolver | None = None,
        on_failed_attempt: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_failed_attempt = on_failed_attempt
        self._policy = AddressPolicy(settings.allow_networks)
        self._clock = clock
        self._retry = Retry(
            settings.backoff_initial,
            settings.backoff_max,
            jitter=True,
            attempts=settings.attempts,
        )
        self._resolver = resolver
        self._hosts = HostPlaces(settings.per_host, clock=clock)
        self._places = FairPlaces(
            settings.concurrency,
            reserved=settings.concurrency // 4,
            slow=min(SLOW, settings.read_timeout / 2),
            clock=clock,
        )
        self._session: aiohttp.ClientSession | None = None
        self._names: Names

    async def __aenter__(self) -> Self:
        self._names = Names(self._resolver or SystemResolver(), self._clock)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the places are the limit: waiting for one uses up no attempt's time
                resolver=self._names,
                use_dns_cache=False,
                socket_factory=self._checked_socket,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout,
                sock_read=self._settings.read_timeout,
            ),
            headers=_HEADERS | {"User-Agent": self._settings.user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # It would send passwords out of .netrc as well; the proxy is given with each request.
            trust_env=False,
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
            await self._names.close()
            self._session = None

    async def fetch(self, url: str, deadline: float | None = None) -> bytes:
        """Fetch an image.

        Args:
            url: an http or https URL.
            deadline: seconds since the epoch after which the image is of no use; None means never.

        Returns:
            The bytes at `url`.

        Raises:
            JobError: `BAD_URL`, `FORBIDDEN_URL`, `NOT_FOUND`, `FETCH_REFUSED` or `TOO_LARGE` at
                once; `FETCH_FAILED`, `FETCH_TIMEOUT` or `DEADLINE_EXCEEDED` after as many attempts
                as the error says.
        """
        target = parse_url(url)
        self._policy.check(target.raw_host or "")
        now = asyncio.get_running_loop().time()
        allowance = Allowance(
            self._settings.deadline,
            self._settings.total_timeout,
            None if deadline is None else now + deadline - self._clock.wall(),
        )
        if allowance.expired:
            raise _expired(0)
        # A place at the host is kept between attempts: while a host fails, its other fetches wait
        # instead of joining in.
        with self._hosts.seat() as seat:
            return await self._try(target, allowance, seat)

    async def _try(self, url: URL, allowance: Allowance, seat: Seat) -> bytes:
        """Make attempts until one succeeds or fails for good, or no time is left for another."""
        pauses, attempt = self._retry.pauses(self._clock), 0
        while True:
            attempt += 1
            wait: float | None = None
            allowance.begin_attempt()
            try:
                return await self._follow(url, allowance, seat)
            except (aiohttp.ClientError, OSError, ValueError, JobError) as error:
                failure = explain(error)
            except StatusError as error:
                failure, wait = explain(error), error.retry_after
            if allowance.expired:
                raise _expired(attempt) from failure
            pause = max(wait or 0.0, next(pauses, math.inf))
            if not failure.transient or pause >= allowance.left:
                failure.attempts = attempt
                raise failure
            self._on_failed_attempt()
            seat.give_way()
            await self._clock.sleep(pause)

    async def _follow(self, url: URL, allowance: Allowance, seat: Seat) -> bytes:
        """One attempt: the image at `url`, or at where it redirects to."""
        for _ in range(self._settings.max_redirects + 1):
            proxy = proxy_for(url) if self._settings.trust_env else None
            found = None if proxy else await self._find(url, allowance)
            host = machine_of(url.raw_host or "", found)
            place = await self._place(host, url, allowance, seat)
            try:
                with addresses(found):
                    answer = await self._request(url, proxy, allowance.attempt_end)
            finally:
                place.release()
            if isinstance(answer, bytes):
                return answer
            url = answer
            self._policy.check(url.raw_host or "")
        raise JobError(
            Reason.FETCH_REFUSED,
            f"the URL redirects more than {self._settings.max_redirects} times; use the final "
            "address",
        )

    async def _find(self, url: URL, allowance: Allowance) -> list[ResolveResult] | None:
        """The addresses of the URL's name; None when it is an address itself."""
        name = url.raw_host or ""
        if literal_address(name) is not None:
            return None
        if self._session is None:
            raise RuntimeError("use the fetcher in an async with block")
        found = self._names.known(name, url.port or 0)
        return await self._look_up(name, url.port or 0, allowance) if found is None else found

    async def _look_up(self, name: str, port: int, allowance: Allowance) -> list[ResolveResult]:
        lookup = self._names.look_up(name, port)
        async with allowance.waiting():
            await asyncio.shield(lookup.begun)
        try:
            async with allowance.running():
                return await asyncio.shield(lookup.answer)
        except OSError as error:  # TimeoutError is one
            raise UnresolvedError(name) from error

    async def _place(self, host: str, url: URL, allowance: Allowance, seat: Seat) -> Place:
        """A place at the host and one of all, waited for with the job's own time alone."""
        name = url.raw_host, url.port
        # Mostly there is one, and no timer is needed.
        if seat.take_now(host, name) and (place := self._places.acquire_now(host)) is not None:
            return place
        async with allowance.waiting():
            await seat.take(host, name)
            return await self._places.acquire(host, seat.since)

    async def _request(self, url: URL, proxy: URL | None, end: float) -> bytes | URL:
        """The image at `url`, or where it redirects to; by the loop time `end`."""
        if self._session is None:
            raise RuntimeError("use the fetcher in an async with block")
        limits = self._settings
        window = limits.read_timeout
        # `sock_read` bounds silence alone, and a head may come byte by byte. A proxy answers with a
        # head of its own before it.
        head = None if proxy else limits.connect_timeout + window
        with Watch(end, head, window, limits.min_speed * window) as watch:
            response = await self._session.get(url, allow_redirects=False, proxy=proxy)
            try:
                if response.status in _REDIRECTS:
                    return parse_redirect(url, response.headers.get("Location"))
                watch.receive(response.content)
                return await read_image(response, limits.max_bytes, self._clock)
            finally:
                # Its connection is kept if all of it has been read, and closed if not.
                response.release()

    def _checked_socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for one resolved address, unless it may not be reached.

        Called for every address just before it is connected to, so it sees through names that
        resolve to private addresses, names that change between check and use, redirects, and
        literals.
        """
        family, kind, protocol, _, address = info
        try:
            self._policy.check_address(str(address[0]))
        except JobError as job_error:
            raise ForbiddenAddressError(job_error) from job_error
        return socket.socket(family, kind, protocol)


def _expired(attempts: int) -> JobError:
    return JobError(
        Reason.DEADLINE_EXCEEDED,
        "the job's deadline passed while its image was being fetched",
        attempts=max(1, attempts),
        stage=Stage.FETCH,
    )
