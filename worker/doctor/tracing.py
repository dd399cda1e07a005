"""Whether spans can be exported."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from worker.doctor.findings import Finding, Status
from worker.errors import SettingsError, UnfitSystemError
from worker.settings import Settings
from worker.tracing import check_tracing, collector_address

__all__ = ["look_at_tracing"]

SUBJECT = "Tracing"


def look_at_tracing(settings: Settings, timeout: float) -> Sequence[Finding]:
    """Look whether the extra is there, and whether something listens where spans are sent.

    Args:
        timeout: seconds for connecting to the collector.

    Returns:
        What was found. A collector that is away is no failure: the worker does without.
    """
    try:
        if not check_tracing(settings):
            return [Finding(SUBJECT, Status.OK, "off: an OTEL_* variable says so")]
        host, port = collector_address()
    except (SettingsError, UnfitSystemError) as error:
        return [Finding(SUBJECT, Status.FAIL, "it cannot be used", str(error))]
    found = f"collector {host}:{port}"
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        remedy = (
            "jobs are done without their spans: name the collector in OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        why = error.strerror or str(error)
        return [Finding(SUBJECT, Status.WARN, f"{found} does not answer ({why})", remedy)]
    return [Finding(SUBJECT, Status.OK, found)]
