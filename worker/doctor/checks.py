"""All checks, for these settings. Each loads what it needs itself: that can fail, or take long."""

from __future__ import annotations

from collections.abc import Sequence

from worker.cache import cache_directory
from worker.doctor import system
from worker.doctor.findings import Check, Finding
from worker.settings import Settings

__all__ = ["all_checks"]


def all_checks(settings: Settings, url: str | None, timeout: float, *, kafka: bool) -> list[Check]:
    """List all checks.

    Args:
        url: an image's address to fetch.
        timeout: seconds that each check gives to what it asks.
        kafka: whether the brokers and topics are wanted.

    Returns:
        The checks, in the order of the report.
    """

    def look_at_model() -> Sequence[Finding]:
        from worker.doctor.model import look_at_model  # noqa: PLC0415

        return look_at_model(settings, timeout)

    def look_at_kafka() -> Sequence[Finding]:
        from worker.doctor.kafka import look_at_kafka  # noqa: PLC0415

        return look_at_kafka(settings, timeout)

    def look_at_tracing() -> Sequence[Finding]:
        from worker.doctor.tracing import look_at_tracing  # noqa: PLC0415

        return look_at_tracing(settings, timeout)

    def look_at_url() -> Sequence[Finding]:
        from worker.doctor.url import look_at_url  # noqa: PLC0415

        return look_at_url(url, settings.fetch, timeout)

    return [
        Check("Python", system.look_at_python),
        Check("Processor", system.look_at_processor),
        Check(
            "Paddle",
            lambda: system.look_at_libraries(
                settings.device, timeout, settings.predictor.backend, settings.predictor.kernels
            ),
        ),
        Check(
            "Backends",
            lambda: system.look_at_backends(
                settings.predictor.backend, settings.device, settings.predictor.kernels
            ),
        ),
        Check("Cache", lambda: system.look_at_cache(cache_directory())),
        Check("Model", look_at_model),
        *([Check("Brokers", look_at_kafka)] if kafka else []),
        *([Check("Tracing", look_at_tracing)] if settings.tracing.enabled else []),
        Check("URLs", look_at_url),
    ]
