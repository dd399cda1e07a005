"""Tokens for OAUTHBEARER, from a file that something else renews or from a token endpoint."""

from __future__ import annotations

import asyncio
import base64
import http
from pathlib import Path
from urllib.parse import quote_plus

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError
from yarl import URL

from worker.clock import SYSTEM_CLOCK, Clock
from worker.proxies import proxy_for
from worker.settings import SaslSettings

__all__ = ["TokenError", "token_provider"]

TOKEN_TIMEOUT = 10.0
"""Seconds to get a token."""

EARLY = 30.0
"""Seconds before its end at which a token is renewed: clocks differ and requests take time."""


_FAILED = "no token from kafka.sasl.token_endpoint: "


class TokenError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is untyped
    """No token is available now.

    To aiokafka this is a failed connection, which it tries again. Any other error would end the
    background tasks of a running consumer for good.
    """


def token_provider(sasl: SaslSettings, clock: Clock = SYSTEM_CLOCK) -> AbstractTokenProvider:
    """Make the provider of tokens that the settings describe.

    Returns:
        A provider that aiokafka calls for every connection.
    """
    if sasl.token_file is not None:
        return _FileTokens(sasl.token_file)
    return _EndpointTokens(sasl, clock)


class _FileTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        try:
            text = await asyncio.to_thread(self._path.read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"cannot read kafka.sasl.token_file: {error}") from error
        if not text.strip():
            raise TokenError(f"kafka.sasl.token_file {self._path} is empty")
        return text.strip()


class _EndpointTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Client-credentials grant (RFC 6749, section 4.4)."""

    def __init__(self, sasl: SaslSettings, clock: Clock) -> None:
        self._sasl = sasl
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0

    async def token(self) -> str:
        if self._token is None or self._clock.monotonic() >= self._renew_at:
            await self._renew()
        assert self._token is not None
        return self._token

    async def _renew(self) -> None:
        sasl = self._sasl
        assert sasl.token_endpoint is not None
        assert sasl.client_id is not None
        assert sasl.client_secret is not None
        form = {"grant_type": "client_credentials"} | ({"scope": sasl.scope} if sasl.scope else {})
        # Encoded as in a form before they are joined (section 2.3.1): a secret may hold a colon.
        secret = quote_plus(sasl.client_secret.get_secret_value())
        credentials = base64.b64encode(f"{quote_plus(sasl.client_id)}:{secret}".encode()).decode()
        try:
            # Only the client's id and secret are sent, and only to the address in the settings: no
            # redirect is followed, and no password of the address or of .netrc is used.
            endpoint = URL(sasl.token_endpoint).with_user(None)
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TOKEN_TIMEOUT)
                ) as session,
                session.post(
                    endpoint,
                    data=form,
                    headers={"Authorization": f"Basic {credentials}"},
                    allow_redirects=False,
                    proxy=proxy_for(endpoint),
                ) as response,
            ):
                if response.status != http.HTTPStatus.OK:
                    raise TokenError(_FAILED + f"it answered {response.status}")
                answer = await response.json()
            self._token = str(answer["access_token"])
            lifetime = float(answer.get("expires_in", 0))
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError) as error:
            raise TokenError(_FAILED + _why(error)) from error
        self._renew_at = self._clock.monotonic() + max(0.0, lifetime - EARLY)


def _why(error: Exception) -> str:
    """Describe an error without the address, which may contain a key, and without the answer."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{type(error).__name__}: cannot connect to {error.host}:{error.port}"
    if isinstance(error, aiohttp.ContentTypeError):
        return "its answer is not JSON"
    if isinstance(error, KeyError | TypeError):
        return "its answer has no access_token"
    return type(error).__name__
