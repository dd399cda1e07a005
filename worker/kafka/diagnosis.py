"""Why no broker can be used: aiokafka logs the causes, and raises only that it failed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from worker.kafka.client import connection_options
from worker.kafka.oauth import TokenError
from worker.settings import KafkaSettings

__all__ = ["find_cause", "find_fault"]

TIMEOUT = 10.0
"""Seconds for connecting to each broker."""

# X509_V_ERR_... of OpenSSL's x509_vfy.h.
_WRONG_TIME = frozenset({9, 10})
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
_WRONG_HOST = frozenset({62, 64})


class _RefusedTokenError(Exception):
    """The broker goes on, as RFC 7628 (section 3.2.3) says it must, but serves nothing."""


async def find_cause(settings: KafkaSettings) -> str | None:
    """Connect to each bootstrap server once more, to find out what is wrong.

    Returns:
        A sentence that says what is wrong and what to change; None if one of the servers can be
        used: then something else is wrong.
    """
    addresses = [(host, port) for host, port, _ in collect_hosts(settings.bootstrap_servers, False)]
    errors = await asyncio.gather(*(_attempt(settings, *address) for address in addresses))
    reasons: dict[str, list[str]] = {}
    for (host, port), error in zip(addresses, errors, strict=True):
        if error is None:
            return None
        reasons.setdefault(_explain(settings, error), []).append(f"{host}:{port}")
    if len(reasons) == 1:
        return next(iter(reasons))
    return "; ".join(f"{', '.join(servers)}: {reason}" for reason, servers in reasons.items())


async def find_fault(settings: KafkaSettings, host: str, port: int) -> str | None:
    """Connect to one broker.

    Returns:
        A sentence on what is wrong; None if it can be used.
    """
    error = await _attempt(settings, host, port)
    return None if error is None else _explain(settings, error)


async def _attempt(settings: KafkaSettings, host: str, port: int) -> Exception | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            serves = await _is_served(settings, host, port)
    except (KafkaError, OSError, asyncio.IncompleteReadError) as error:
        return error
    refused = settings.sasl.mechanism == "OAUTHBEARER" and not serves
    return _RefusedTokenError() if refused else None


async def _is_served(settings: KafkaSettings, host: str, port: int) -> bool:
    options = connection_options(settings)
    del options["bootstrap_servers"]
    closed: list[AIOKafkaConnection] = []
    try:
        connection = await create_conn(
            host, port, on_close=lambda connection, _: closed.append(connection), **options
        )
        try:
            metadata = await connection.send(MetadataRequest([]))
        finally:
            connection.close()
        return bool(metadata.brokers)
    finally:
        # aiokafka closes a failed connection, but does not wait until it is closed.
        for connection in closed:
            await connection.close()


def _explain(settings: KafkaSettings, error: Exception) -> str:
    for cause in _chain(error):
        if reason := (
            _explain_sasl(settings, cause)
            or _explain_tls(settings, cause)
            or _explain_connection(settings, cause)
        ):
            return reason
    return str(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _explain_sasl(settings: KafkaSettings, error: BaseException) -> str | None:
    mechanism = settings.sasl.mechanism
    match error:
        case TokenError():
            return str(error.args[0])
        case _RefusedTokenError():
            return (
                "the broker refuses the OAUTHBEARER token: compare its issuer, audience and scope "
                "with what the broker expects (kafka.sasl)"
            )
        case SaslAuthenticationFailed():
            return (
                f"the broker refuses the credentials ({error.args[0]}): "
                "correct kafka.sasl.username and kafka.sasl.password"
            )
        case UnsupportedSaslMechanismError():
            return f"the broker does not offer {mechanism}: choose another kafka.sasl.mechanism"
        case IllegalSaslStateError():
            without = settings.security_protocol.replace("SASL_", "")
            return f"the broker asks for no SASL there: set kafka.security_protocol: {without}"
    return None


def _explain_tls(settings: KafkaSettings, error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or str(error)
    # As OpenSSL names the alerts certificate_required, bad_certificate, unknown_ca and so on.
    if "CERTIFICATE" not in reason and "UNKNOWN_CA" not in reason:
        return f"no TLS connection ({reason})"
    if settings.tls.cert_file is None:
        return (
            f"the broker wants a client certificate ({reason}): "
            "set kafka.tls.cert_file and kafka.tls.key_file"
        )
    return (
        f"the broker refuses the client certificate ({reason}): "
        "kafka.tls.cert_file must come from an authority that it trusts"
    )


def _explain_certificate(error: ssl.SSLCertVerificationError) -> str:
    refused = f"the broker's certificate is refused ({error.verify_message.rstrip('.')})"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return f"{refused}: name the PEM file of its authority in kafka.tls.ca_file"
    if error.verify_code in _WRONG_HOST:
        return (
            f"{refused}: name the broker in kafka.bootstrap_servers as its certificate does, "
            "or set kafka.tls.verify_hostname: false"
        )
    if error.verify_code in _WRONG_TIME:
        return f"{refused}: it must be renewed, or this machine's clock be set right"
    return f"{refused}: it, or its authority's, must be issued again"


def _explain_connection(settings: KafkaSettings, error: BaseException) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens there ({error}): correct kafka.bootstrap_servers"
    if isinstance(error, ConnectionError | asyncio.IncompleteReadError):
        protocol = settings.security_protocol
        bare = protocol.endswith("SSL") and settings.tls.cert_file is None
        return (
            f"the broker hangs up: it may not speak {protocol} at that port "
            "(kafka.security_protocol)"
            + (", or want a client certificate (kafka.tls.cert_file)" if bare else "")
        )
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s: correct kafka.bootstrap_servers"
    if isinstance(error, OSError):
        return f"no connection ({error}): correct kafka.bootstrap_servers"
    return None
