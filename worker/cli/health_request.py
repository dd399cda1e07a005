"""Asks the worker on this machine whether it is alive; see `worker.cli.health`.

A container runs it every few seconds, so it loads next to nothing: `answer_at_once` reads the few
settings that it needs from the environment, and leaves all other calls to the full command.
"""

from __future__ import annotations

import os
import re
import sys

# As in `typing`; see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "TIMEOUT", "answer_at_once", "ask"]

DEFAULT_HOST, DEFAULT_PORT = "0.0.0.0", 8080  # noqa: S104 - as the settings have them
TIMEOUT = 3.0
"""Seconds for the answer."""

MAX_ANSWER = 4096
"""Bytes of an answer that are read."""

_HOST = "WORKER_HTTP__HOST"
_PORTS = ("WORKER_HTTP__METRICS_PORT", "WORKER_HTTP__PORT")
"""The first that is set counts."""

_SECURE = "WORKER_HTTP__TLS__CERT_FILE"
"""Set where the worker speaks TLS."""

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised


def ask(
    host: str, port: int, *, ready: bool, timeout: float, secure: bool = False
) -> tuple[bool, str]:
    """Ask a worker whether it is alive, or ready.

    Args:
        host: `http.host`; where it listens on all addresses, loopback is asked.
        port: `http.metrics_port`, or else `http.port`.
        ready: whether `/readyz` is asked, and not `/livez`.
        timeout: seconds.
        secure: whether it speaks TLS. Its certificate is not verified: it names the service, and
            not this machine; nothing secret is sent, and an answer only says that all is well.

    Returns:
        Whether it is; and a sentence that says why it is not, or `ok`.
    """
    import http.client  # noqa: PLC0415 - the options of `health` need only the constants

    host, path = _LOOPBACK.get(host, host), "/readyz" if ready else "/livez"
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    if secure:
        import ssl  # noqa: PLC0415 - only where it is needed

        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - see `secure`
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = " ".join(response.read(MAX_ANSWER).decode(errors="replace").splitlines())
    except TimeoutError:
        return False, f"no answer from {host}:{port} within {timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"no worker answers at {host}:{port}: {why}"
    finally:
        connection.close()
    if response.status == http.client.OK:
        return True, "ok"
    if response.status == http.client.SERVICE_UNAVAILABLE:
        return False, text
    return False, f"what listens at {host}:{port} is no worker ({path}: HTTP {response.status})"


def answer_at_once(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Handle the usual call, as a container makes it, without loading the command line.

    Args:
        arguments: what follows `health`.

    Returns:
        The exit code; None if the whole command line is needed, for other options, a settings file
        or values that are not simply an address and a port.
    """
    if not set(arguments) <= {"--ready"} or environ.get("CLASSIFY_WORKER_CONFIG"):
        return None
    if any(f"{name}_FILE" in environ for name in (_HOST, *_PORTS, _SECURE)):
        return None
    port = next(filter(None, map(environ.get, _PORTS)), str(DEFAULT_PORT))
    if not _PORT.fullmatch(port):
        return None
    host = environ.get(_HOST) or DEFAULT_HOST
    healthy, reason = ask(
        host,
        int(port),
        ready="--ready" in arguments,
        timeout=TIMEOUT,
        secure=bool(environ.get(_SECURE)),
    )
    (sys.stdout if healthy else sys.stderr).write(f"{reason}\n")
    return 0 if healthy else 1
