"""Settings of tracing; where spans go is OpenTelemetry's own `OTEL_*` variables."""

from __future__ import annotations

from pydantic import Field

from worker.settings.base import Group

__all__ = ["TracingSettings"]


class TracingSettings(Group):
    """OpenTelemetry traces; where they go is said by OTEL_* variables (docs/tracing.md)."""

    enabled: bool = Field(
        False,
        description="Whether spans of jobs and requests are exported; needs the extra otel.",
    )
    link_only: bool = Field(
        False,
        description="Whether a job begins a trace of its own, linked to its traceparent, instead "
        "of continuing that trace.",
    )
