"""A client that sends images to a worker over HTTP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import aiohttp

from worker import __version__
from worker.client.base import TIMEOUT, Call, Client, closed
from worker.client.errors import ClientClosed, ServiceError
from worker.client.requests import check_limits, content_type, read_image
from worker.client.sync import SyncClient
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.job_messages import JobEnvelope
from worker.contract.jobs import ModelIdentity, UrlImage
from worker.contract.results import Result, read_result
from worker.errors import SettingsError
from worker.images.retry_after import parse_retry_after
from worker.retry import Retry

if TYPE_CHECKING:
    import ssl

__all__ = ["HttpClient", "SyncHttpClient"]

PATH = "/image-classification"

AGAIN = frozenset({429, 503})
"""Statuses of a service that has no room now."""

NO_ROOM = Retry(first=0.2, longest=5.0, jitter=True)
"""Pauses beyond what the service asks for, so that clients that were turned away together do not
come back together."""

NO_CONNECTION = Retry(first=0.1, longest=2.0, attempts=4)
"""A connection that was kept may be closed by the service just when it is used again."""

MAX_IMAGE = 64 * 1024 * 1024
MAX_ANSWER = 64 * 1024 * 1024
"""Most bytes of an answer; its picture is a JPEG in Base64."""

MAX_CONNECTIONS = 16
"""Requests at a time; a worker answers them in batches."""


@dataclass(frozen=True, slots=True)
class _Body:
    """The body of a request, with its type and the options that go with it."""

    data: bytes
    type: str
    query: Mapping[str, str]


class HttpClient(Client):
    """Classifies images by way of `POST /image-classification`; a context manager, for one loop.

    A service that has no room (429, 503) is asked again, after its `Retry-After` and for as long as
    the job's time lasts. So is one whose connection breaks, a few times.

    Args:
        url: address of the service, `http://host:port` or `https://...`, with or without a path
            before `/image-classification`.
        token: what the service asks for as `Authorization: Bearer` (`http.token_file`); None sends
            none.
        tls: for `https`: which authorities are trusted, and the client's certificate if it needs
            one; None trusts those of the system.
        timeout: seconds that a job has where a call does not say.
        max_connections: most requests at a time.
        max_image_bytes: largest image file that is read and sent.
        send_as: how bytes travel: `raw`, as they are, or `base64`, a third larger, in JSON.
        clock: measures latencies and makes the pauses.

    Raises:
        SettingsError: an argument is wrong; the message says which.
    """

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        max_image_bytes: int = MAX_IMAGE,
        send_as: Literal["raw", "base64"] = "raw",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_limits(max_connections=max_connections, max_image_bytes=max_image_bytes)
        # Twice as many: while one is answered, the next is read.
        super().__init__(timeout, 2 * max_connections, send_as, clock)
        self._url = _endpoint(url)
        self._headers = {"User-Agent": f"classify-worker-client/{__version__}"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {_checked(token)}"
        self._tls = tls
        self._max_connections = max_connections
        self._max_image_bytes = max_image_bytes
        self._session: aiohttp.ClientSession | None = None
        self._turns: asyncio.Semaphore | None = None

    async def open(self) -> None:
        """Get ready; `async with` does so. Nothing is connected before the first job."""
        if self._session is None:
            self._turns = asyncio.Semaphore(self._max_connections)
            connector = aiohttp.TCPConnector(
                limit=self._max_connections, ssl=True if self._tls is None else self._tls
            )
            # Neither proxies nor ~/.netrc: the address is meant as it is written.
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )

    async def close(self) -> None:
        """Disconnect; `async with` does so. Jobs that are waited for raise `ClientClosed`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, call: Call) -> Result:
        if self._session is None or self._turns is None:
            raise closed()
        # A turn is kept during pauses too: what is read is held in memory.
        async with self._turns:
            body = await self._body(call)
            call.hold.set(len(body.data))
            call.began = self._clock.monotonic()
            result = await self._post_until_answered(body, call)
            call.ended = self._clock.monotonic()
            return result

    async def _body(self, call: Call) -> _Body:
        envelope = JobEnvelope(call.job_id, "", call.top_k, call.visualize)
        match call.content:
            case UrlImage(url):
                message = envelope.with_url(url)
            case Mapping() as written:
                message = envelope.with_job(written)
            case content:
                image = await read_image(content, self._max_image_bytes)
                if (call.send_as or self._send_as) == "raw":
                    return _Body(image, content_type(image), _query(call))
                message = envelope.with_base64(image)
        return _Body(message.value or b"", "application/json", {})

    async def _post_until_answered(self, body: _Body, call: Call) -> Result:
        """Send a request again for as long as the service has no room for it.

        Raises:
            ServiceError: the service cannot be reached, or its answer is no result.
            ClientClosed: the client was closed meanwhile.
        """
        loop = asyncio.get_running_loop()
        refusals, breaks = NO_ROOM.pauses(self._clock), NO_CONNECTION.pauses(self._clock)
        while True:
            try:
                status, result, retry_after = await self._post(body)
            except aiohttp.ClientError as error:
                pause = None if _is_final(error) else next(breaks, None)
                if pause is None:
                    raise ServiceError(f"{self._url} cannot be reached: {error}") from error
            else:
                if status not in AGAIN:
                    return result
                pause = (retry_after or 0.0) + next(refusals)
                if loop.time() + pause >= call.deadline:
                    return result  # waiting for the end of its time would change nothing
            await self._clock.sleep(pause)

    async def _post(self, body: _Body) -> tuple[int, Result, float | None]:
        """Send a request once.

        Returns:
            The status, what the answer says, and the pause in seconds that it asks for.
        """
        if self._session is None:
            raise closed()
        try:
            async with self._session.post(
                self._url,
                data=io.BytesIO(body.data),
                params=body.query,
                headers={"Content-Type": body.type},
                allow_redirects=False,
            ) as response:
                value = await _read(response)
        except (aiohttp.ClientError, RuntimeError) as error:
            if self._session is None:
                raise ClientClosed("the client was closed before the job had a result") from error
            raise
        headers = response.headers
        pause = parse_retry_after(headers.get("Retry-After"), self._clock.wall())
        return response.status, self._result(response.status, value, headers), pause

    def _result(self, status: int, value: bytes, headers: Mapping[str, str]) -> Result:
        try:
            result = read_result(value)
        except ValueError as error:
            if status in AGAIN:  # of a proxy, say
                return Result(status, "the service has no room; try again later")
            raise ServiceError(
                f"{self._url} answers HTTP {status} and no result: is it the address of a worker?"
            ) from error
        if result.code == 0 and (digest := headers.get("Model-Digest")) is not None:
            name, backend = headers.get("Model-Name", ""), headers.get("Model-Backend", "")
            return replace(result, model=ModelIdentity(unquote(name), digest, backend))
        return result


class SyncHttpClient(SyncClient):
    """`HttpClient` for programs without an event loop: the same arguments and methods."""

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        max_image_bytes: int = MAX_IMAGE,
        send_as: Literal["raw", "base64"] = "raw",
    ) -> None:
        client = HttpClient(
            url,
            token=token,
            tls=tls,
            timeout=timeout,
            max_connections=max_connections,
            max_image_bytes=max_image_bytes,
            send_as=send_as,
        )
        super().__init__(client)


def _query(call: Call) -> dict[str, str]:
    query = {} if call.top_k is None else {"topk": str(call.top_k)}
    if call.visualize is not None:
        query["visualize"] = "true" if call.visualize else "false"
    return query


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise ServiceError(f"the answer has more than {MAX_ANSWER} bytes")
    return bytes(body)


def _is_final(error: aiohttp.ClientError) -> bool:
    """Whether the same request would fail again: a certificate does not change in a second."""
    return isinstance(error, aiohttp.ClientSSLError) or not isinstance(
        error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError
    )


def _endpoint(url: str) -> str:
    wrong = SettingsError(f"{url!r} is no address of a service: write http://host:port")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise wrong from None
    if not usable:
        raise wrong
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            "the address of a service has no user, ? or #; a token is an argument of its own"
        )
    return url if parts.path.endswith(PATH) else url.rstrip("/") + PATH


def _checked(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError("the token is empty, or has characters that no token may have")
    return token
