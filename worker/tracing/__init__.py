"""OpenTelemetry traces of jobs and requests; the only package that knows OpenTelemetry.

Tracing is off unless `tracing.enabled` is set. Then there is a `Tracer`, which the parts of the
worker are given; without it they are given None, and nothing of OpenTelemetry is loaded.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from worker.errors import SettingsError, UnfitSystemError

if TYPE_CHECKING:
    from worker.settings import Settings
    from worker.tracing.export import Tracing

__all__ = ["OTEL_INSTALL", "open_tracing"]

OTEL_INSTALL = "pip install '.[otel]'"
"""How to install the extra, from a checkout of the project."""

EXPORTERS = ("otlp", "otlp_proto_http")
"""Values of OTEL_TRACES_EXPORTER that mean the exporter that is used here."""

PROTOCOL = "http/protobuf"

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def open_tracing(settings: Settings) -> Tracing | None:
    """Begin to export spans, if `tracing.enabled` is set and OTEL_* variables do not forbid it.

    Nothing is sent before the first span, and an endpoint that is not there is no error.

    Returns:
        The tracer and what exports its spans; None where there is no tracing.

    Raises:
        UnfitSystemError: the extra is not installed.
        SettingsError: an OTEL_* variable has a value that cannot be used.
    """
    if not settings.tracing.enabled or _is_disabled():
        return None
    if missing := [name for name in _NEEDED if not _is_installed(name)]:
        raise UnfitSystemError(
            f"tracing.enabled needs {' and '.join(missing)}, not installed here; {OTEL_INSTALL} in "
            "a checkout of this project installs it; or set tracing.enabled to false"
        )
    _check_variables()
    # Here, so that nobody pays for it without tracing.
    from worker.tracing.export import Tracing  # noqa: PLC0415

    return Tracing(settings)


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


def _check_variables() -> None:
    """Refuse what the SDK would only complain about, or complain about with each export.

    Raises:
        SettingsError: a variable has a value that cannot be used.
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
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if endpoint := _variable(name):
            _check_endpoint(name, endpoint)
            break


def _check_endpoint(name: str, endpoint: str) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not shown: it may hold a password.
        raise SettingsError(f"{name} is no address: write http://collector:4318")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
