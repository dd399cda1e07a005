"""Writes metrics as a client prefers: Prometheus' text format, or OpenMetrics with exemplars."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

__all__ = ["Exposition", "collect", "expose"]

GZIP_LEVEL = 1
"""It takes a small part of the time that writing the text takes, and leaves a seventh of it."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """The answer to a scrape.

    Attributes:
        headers: its media type, and how it is compressed.
    """

    body: bytes
    headers: dict[str, str]


def collect(registry: Collector) -> list[Metric]:
    """Read all metrics, without the time at which each series began: that doubles their number.

    `prometheus_client.disable_created_metrics` would do so for the whole program, which may be
    somebody else's (`create_pipeline`).
    """
    families = list(registry.collect())
    for family in families:
        created = f"{family.name}_created"
        family.samples = [sample for sample in family.samples if sample.name != created]
    return families


def expose(families: Sequence[Metric], accept: str = "", accept_encoding: str = "") -> Exposition:
    """Write metrics as the client prefers; in any thread.

    Args:
        accept: the request's `Accept`.
        accept_encoding: its `Accept-Encoding`.
    """
    try:
        encode, media_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # It asks for a version that is none.
        encode, media_type = choose_encoder("")
    body, headers = encode(_Collected(families)), {"Content-Type": media_type}
    if gzip_accepted(accept_encoding):
        body, headers["Content-Encoding"] = gzip.compress(body, GZIP_LEVEL), "gzip"
    return Exposition(body, headers | {"Vary": "Accept, Accept-Encoding"})


class _Collected(Collector):
    """Metrics that have been read, as the encoders want them."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
