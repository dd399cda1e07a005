"""OpenTelemetry traces of jobs and requests; the only package that knows OpenTelemetry.

Tracing is off unless `tracing.enabled` is set. Then there is a `Tracer`, which the parts of the
worker are given; without it they are given None, and nothing of OpenTelemetry is loaded.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.errors import SettingsError, UnfitSystemError

if TYPE_CHECKING:
    from worker.settings import Settings
    from worker.tracing.export import Tracing

__all__ = ["check_tracing", "collector_address", "open_tracing"]

OTEL_INSTALL = "pip install '.[otel]'"
"""How to install the extra, from a checkout of the project."""

EXPORTERS = ("otlp", "otlp_proto_http")
"""Values of OTEL_TRACES_EXPORTER that mean the exporter that is used here."""

PROTOCOL = "http/protobuf"

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def open_tracing(settings: Settings) -> Tracing | None:
    """Begin to export spans, if `check_tracing` says that there is tracing.

    Nothing is sent before the first span, and a collector that is not there is no error.

    Returns:
        The tracer and what exports its spans; None where there is no tracing.

    Raises:
        UnfitSystemError: the extra is not installed.
        SettingsError: an OTEL_* variable has a value that cannot be used.
    """
    if not check_tracing(settings):
        return None
    # Here, so that nobody pays for it without tracing.
    from worker.tracing.export import Tracing  # noqa: PLC0415

    return Tracing(settings)


def check_tracing(settings: Settings) -> bool:
    """Find out whether spans are exported, without loading what exports them.

    Returns:
        Whether `tracing.enabled` is set and no OTEL_* variable turns it off.

    Raises:
        UnfitSystemError: the extra is not installed.
        SettingsError: an OTEL_* variable has a value that the SDK would only complain about, or
            complain about with each export.
    """
    if not settings.tracing.enabled or _is_disabled():
        return False
    if missing := [name for name in _NEEDED if not _is_installed(name)]:
        raise UnfitSystemError(
            f"tracing.enabled needs {' and '.join(missing)}, not installed here; {OTEL_INSTALL} in "
            "a checkout of this project installs it; or set tracing.enabled to false"
        )
    _check_exporter()
    collector_address()
    return True


def collector_address() -> tuple[str, int]:
    """Read from the variables where the collector is.

    Returns:
        Host and port.

    Raises:
        SettingsError: what they say is no address.
    """
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if endpoint := _variable(name):
            break
    else:
        return "localhost", 4318
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        # Not shown: it may hold a password.
        raise SettingsError(f"{name} is no address: write http://collector:4318")
    return host, port or (443 if parts.scheme == "https" else 80)


def _is_disabled() -> bool:
    """Whether a standard variable turns tracing off."""
    if _variable("OTEL_SDK_DISABLED").lower() == "true":
        return True
    return _variable("OTEL_TRACES_EXPORTER").lower() == "none"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def _check_exporter() -> None:
    """Refuse exporters that are not used here.

    Raises:
        SettingsError: a variable names one.
    """
    exporter = _variable("OTEL_TRACES_EXPORTER")
    if exporter and exporter not in EXPORTERS:
        raise SettingsError(
            f"OTEL_TRACES_EXPORTER is {exporter!r}: this worker exports with otlp; or use none"
        )
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := _variable(name):
            if protocol != PROTOCOL:
                raise SettingsError(
                    f"{name} is {protocol!r}: this worker speaks {PROTOCOL}, which collectors "
                    "take at port 4318"
                )
            break  # the variable of traces hides the other one


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
