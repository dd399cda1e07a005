"""Settings of the worker as a service: memory, publishing, HTTP, shutdown, logs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from worker.settings.base import Bytes, Count, Group, MessageBytes, MiB, Pause, Seconds
from worker.settings.lists import elements

__all__ = [
    "HttpSettings",
    "HttpTlsSettings",
    "IntakeSettings",
    "LogSettings",
    "PublishSettings",
    "ShutdownSettings",
]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/?#@:*\[\]]+)(:\d{1,5})?")
_HOST = re.compile(r"(\*?\.)?[^\s/?#@:*\[\].][^\s/?#@:*\[\]]*")

SPARE_CONNECTIONS = 16
"""Connections beyond those with requests to classify, for metrics and probes."""


class IntakeSettings(Group):
    """How much work is taken in at a time: memory is bounded here."""

    max_jobs: Count = Field(512, description="Most jobs in flight, over all partitions.")
    max_bytes: Bytes = Field(
        256 * MiB,
        description="Bytes of records and images held at which no more jobs are taken in.",
    )
    partition_max_jobs: Count = Field(
        256, description="Most jobs in flight per partition; a full partition is paused."
    )


class PublishSettings(Group):
    """How results and dead letters are written."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="Compression of batches; JPEG pictures hardly shrink."
    )
    max_request_bytes: MessageBytes = Field(
        8 * MiB,
        description="Largest message; a larger result loses its picture. "
        "Keep it at the topic's max.message.bytes.",
    )
    linger: Pause = Field(
        0.05,
        description="Longest time for which a result waits for others, to be sent in one request, "
        "while 64 jobs and a quarter of `intake.max_jobs` are in flight; with fewer it is sent at "
        "once. Transactions (`delivery: exactly_once`) gather by themselves.",
    )
    backoff_max: Seconds = Field(
        5.0, description="Longest wait between attempts while the broker does not answer."
    )


class HttpTlsSettings(Group):
    """TLS (1.2 or later) of the HTTP server, on all its ports, with `cert_file` and `key_file`."""

    cert_file: Path | None = Field(
        None,
        description="PEM file of the server's certificate and those between it and its authority; "
        "read again when it changes.",
    )
    key_file: Path | None = Field(
        None, description="PEM file of its private key; read again when it changes."
    )
    key_password: SecretStr | None = Field(None, description="Password of the private key.")
    client_ca_file: Path | None = Field(
        None,
        description="PEM file of authorities one of which must have signed a client's certificate, "
        "for mutual TLS; probes and pages need none.",
    )
    handshake_timeout: Seconds = Field(
        10.0, description="Time for a client to negotiate TLS; then its connection is closed."
    )

    @property
    def enabled(self) -> bool:
        """Whether the server speaks TLS."""
        return self.cert_file is not None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("TLS needs both cert_file and key_file")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client_ca_file needs TLS: set cert_file and key_file too")
        return self


class HttpSettings(Group):
    """The HTTP server: metrics, probes and, where wanted, classification."""

    host: str = Field(
        "0.0.0.0",  # noqa: S104 - a container's probe comes from outside
        min_length=1,
        description="Address to listen on.",
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8080, description="Port to listen on; 0 takes a free one."
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port for /metrics, /livez and /readyz alone; 0 takes a free one. When unset, "
        "they are on port.",
    )
    infer: bool = Field(
        False,
        description="Whether POST /image-classification and the page at / are served beside Kafka.",
    )
    max_jobs: Count = Field(
        256, description="Most requests under way; more are answered 503 with Retry-After."
    )
    max_connections: Count = Field(
        512,
        description="Most connections to each port, 16 above max_jobs or more; then one that waits "
        "for its client is closed for a new one.",
    )
    max_bytes: Bytes = Field(
        256 * MiB, description="Bytes of bodies and images held at which requests are turned away."
    )
    head_timeout: Seconds = Field(
        75.0,
        description="Time for a request's head to arrive, from the connection's beginning or the "
        "last answer: how long a connection may idle. Keep it above a proxy's own.",
    )
    read_timeout: Seconds = Field(30.0, description="Time for a request's body to arrive.")
    allow_origins: tuple[str, ...] = Field(
        (),
        description="Origins (https://example.org) whose pages may use the worker from a browser, "
        "or * for all; the worker's own page needs no entry.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Public names under which the worker may be reached, *.example.org for all "
        "below one; with any, requests to others are refused. Without any, no name is, but the "
        "page at / does not classify under a public name over plain http.",
    )
    token_file: Path | None = Field(
        None,
        description="File of bearer tokens, one a line, read again when it changes; with it "
        "classification asks for one of them.",
    )
    protect_metrics: bool = Field(
        False,
        description="Whether /metrics asks for a token or client certificate too, where "
        "classification does.",
    )
    tls: HttpTlsSettings = HttpTlsSettings()

    @property
    def probe_port(self) -> int:
        """Where metrics and probes are."""
        return self.port if self.metrics_port is None else self.metrics_port

    @model_validator(mode="after")
    def _room(self) -> Self:
        least = self.max_jobs + SPARE_CONNECTIONS
        if self.max_connections < least:
            raise ValueError(
                f"max_connections must be {least} or more, {SPARE_CONNECTIONS} above max_jobs: "
                "requests under way could take all connections, and probes would find none"
            )
        return self

    @field_validator("allow_origins", mode="after")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_as_origin(one) for one in value)

    @field_validator("allowed_hosts", mode="after")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_as_host(one) for one in value)

    @field_validator("allow_origins", "allowed_hosts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Take a list, a JSON array or `a,b`; nothing is the empty list."""
        if value is None:
            return ()
        return elements(value) if isinstance(value, str) else value


def _as_origin(text: str) -> str:
    """Write an origin as browsers do."""
    origin = text.strip().lower().removesuffix("/")
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise ValueError("not an origin; write https://example.org, with a port if it has one")
    scheme, _, authority = origin.partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{authority.removesuffix(default)}" if authority else origin


def _as_host(text: str) -> str:
    host = text.strip().lower()
    host = host if host == "*." else host.removesuffix(".")
    if host != "*" and not _HOST.fullmatch(host):
        raise ValueError("not a domain name; write example.org, without a scheme or a port")
    return host


class ShutdownSettings(Group):
    """How the worker stops."""

    deadline: Seconds = Field(
        25.0,
        description="Time from the first signal to exit; below Kubernetes' grace period of 30.",
    )

    @property
    def drain(self) -> float:
        """Seconds for jobs in flight to end."""
        return 0.6 * self.deadline

    @property
    def flush(self) -> float:
        """Seconds for the last commit, and as many for disconnecting from the brokers."""
        return 0.15 * self.deadline

    @property
    def spans(self) -> float:
        """Seconds for exporting the last spans; together with the others less than `deadline`."""
        return 0.05 * self.deadline


class LogSettings(Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level logged; debug has a line a job."
    )
    format: Literal["console", "json"] = Field(
        "json",
        description="Lines for people (on a terminal, unless set), or JSON for collectors.",
    )
