"""Reads a worker's `/metrics`, within bounds."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Address", "Credentials", "Labels", "ScrapeError", "Snapshot", "read_address", "scrape"]

TIMEOUT = 3.0
"""Seconds for a worker's whole answer."""

MAX_BYTES = 16 * 1024 * 1024
"""Largest answer that is read."""

DEFAULT_PORT = 8080
"""As `http.port`."""

PATH = "/metrics"

Labels = frozenset[tuple[str, str]]


class ScrapeError(Exception):
    """A worker's metrics cannot be read; the message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What workers ask of `top`, and it of them.

    Attributes:
        token: a bearer token, or empty for none.
        context: for TLS; None for the system's authorities.
    """

    token: str = field(default="", repr=False)
    context: ssl.SSLContext | None = None


NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a worker's metrics are.

    Attributes:
        path: with its query, if it has one.
        credentials: for this worker.
    """

    secure: bool
    host: str
    port: int
    path: str = PATH
    credentials: Credentials = NO_CREDENTIALS

    @property
    def name(self) -> str:
        """The worker's name on the screen: `host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """Make a connection, which connects with its first request.

        Args:
            timeout: seconds without any byte.
        """
        if not self.secure:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout, context=self.credentials.context
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All samples of a worker at one time.

    Attributes:
        at: monotonic seconds.
        samples: by name, the values by labels.
    """

    at: float
    samples: dict[str, dict[Labels, float]]

    def items(self, name: str, **labels: str) -> Iterator[tuple[Labels, float]]:
        """The samples of a metric that have these labels."""
        wanted = labels.items()
        for found, value in self.samples.get(name, {}).items():
            if wanted <= set(found):
                yield found, value

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of a metric's samples that have these labels."""
        return [value for _, value in self.items(name, **labels)]


def read_address(text: str, credentials: Credentials = NO_CREDENTIALS) -> Address:
    """Read an address as people write it: `http://host:8080`, `host:8080`, `host`.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    written = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(written)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    secure = parts.scheme == "https"
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc or port == 0:
        raise ValueError(f"{text!r} is no address of a worker; write http://host:8080")
    port = port or (443 if secure else DEFAULT_PORT)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return Address(secure, host, port, PATH if path in ("", "/") else path, credentials)


def scrape(address: Address, timeout: float = TIMEOUT) -> Snapshot:
    """Ask a worker for its metrics, once.

    Args:
        timeout: seconds, for the whole answer.

    Raises:
        ScrapeError: nothing answers there in time, or what does is no worker.
    """
    deadline = time.monotonic() + timeout
    connection = address.connect(timeout)
    headers = {"Accept": "text/plain"}
    if address.credentials.token:
        headers["Authorization"] = f"Bearer {address.credentials.token}"
    try:
        connection.request("GET", address.path, headers=headers)
        text = _read(connection.getresponse(), deadline)
    except TimeoutError:
        raise ScrapeError(f"no answer within {timeout:g} s") from None
    except ssl.SSLError as error:
        raise ScrapeError(error.reason or "TLS failed") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # a host that is no name
        why = error.strerror if isinstance(error, OSError) else None
        raise ScrapeError((why or str(error) or type(error).__name__).lower()) from None
    finally:
        connection.close()
    return Snapshot(time.monotonic(), _samples(text))


def _read(response: http.client.HTTPResponse, deadline: float) -> str:
    if response.status == http.client.UNAUTHORIZED:
        raise ScrapeError("it asks for a token: --token-file")
    if response.status != http.client.OK:
        raise ScrapeError(f"no worker: it answers {response.status}")
    body = bytearray()
    while piece := response.read1(65_536):
        body += piece
        if len(body) > MAX_BYTES:
            raise ScrapeError("no worker: its answer is too large")
        if time.monotonic() > deadline:
            raise TimeoutError
    return body.decode("utf-8", "replace")


def _samples(text: str) -> dict[str, dict[Labels, float]]:
    samples: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                samples.setdefault(sample.name, {})[labels] = sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise ScrapeError("no worker: its answer is no metrics") from error
    if "classify_ready" not in samples:
        raise ScrapeError("no worker: its metrics are of something else")
    return samples
