"""Notices about a worker's start for the person who started it; ignored by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Notices", "Silence"]


class Notices(Protocol):
    """Receives each step; all methods are called in the event loop, and must not block."""

    def listening(self, port: int, metrics_port: int) -> None:
        """The HTTP server listens; the model is looked for next.

        Args:
            port: where it serves.
            metrics_port: where metrics and probes are, which may be the same.
        """
        ...

    def connecting(self) -> None:
        """The model is here; the brokers and topics are checked next."""
        ...

    def loading(self, model: str) -> None:
        """The predictors load the model next."""
        ...

    def changed(self, not_ready: Sequence[str]) -> None:
        """Readiness may have changed; `not_ready` says what is missing (see `Health`)."""
        ...


class Silence:
    """Ignores all notices."""

    def listening(self, port: int, metrics_port: int) -> None:
        """See `Notices`."""

    def connecting(self) -> None:
        """See `Notices`."""

    def loading(self, model: str) -> None:
        """See `Notices`."""

    def changed(self, not_ready: Sequence[str]) -> None:
        """See `Notices`."""
