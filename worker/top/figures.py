"""What a worker did between two looks at its metrics, and several workers together. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from worker.top.scrape import Labels, Snapshot

__all__ = ["STAGES", "Change", "Figures", "figures", "quantile"]

STAGES = ("fetch", "decode", "batch_wait", "infer", "draw", "publish")
"""In the order in which a job passes them."""

_LATENCIES = ("classify_latency_seconds", "classify_http_request_duration_seconds")

Buckets = dict[float, float]
"""Of a histogram: how many values are at most as large as each bound."""


@dataclass(frozen=True, slots=True)
class Change:
    """Two looks at one worker."""

    before: Snapshot
    after: Snapshot

    @property
    def seconds(self) -> float:
        """The time between them."""
        return max(self.after.at - self.before.at, 1e-9)

    def grown(self, name: str, **labels: str) -> float:
        """By how much a counter grew, over all series with these labels."""
        return sum(amount for _, amount in self._growths(name, **labels))

    def buckets(self, name: str, **labels: str) -> Buckets:
        """The values that a histogram got meanwhile."""
        found: Buckets = {}
        for series, amount in self._growths(f"{name}_bucket", **labels):
            try:
                bound = float(dict(series).get("le", ""))
            except ValueError:
                continue  # no bucket: what is asked may be anything
            found[bound] = found.get(bound, 0.0) + amount
        return found

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """By how much a counter grew, by the values of a label."""
        found: dict[str, float] = {}
        for series, amount in self._growths(name):
            value = dict(series).get(label, "")
            found[value] = found.get(value, 0.0) + amount
        return found

    def _growths(self, name: str, **labels: str) -> Iterable[tuple[Labels, float]]:
        earlier = self.before.samples.get(name, {})
        for series, value in self.after.items(name, **labels):
            was = earlier.get(series, 0.0)
            # What is smaller than before was begun anew, with the process.
            yield series, value if value < was else value - was


@dataclass(frozen=True, slots=True)
class Figures:
    """What one worker, or several together, do. None is what cannot be said.

    Attributes:
        jobs: a second, requests over HTTP included.
        failed: of these, the failed ones.
        latency: seconds within which half, 95 % and 99 % of them were answered.
        lag: jobs that wait in the partitions.
        oldest: age in seconds of the oldest job in flight.
        drain: seconds until no job waits; infinite while they do not get fewer.
        stages: mean seconds of a job in each stage.
        batch: mean images of a batch.
        closed: share of batches by why they closed, the largest first.
        slots: predictor processes that are up.
        slots_busy: share of the time in which they computed.
        images_busy: the same of the processes that decode and draw.
        in_flight: jobs and requests under way.
        held: bytes held by them.
        waiting: images that wait for a process or a batch.
        dead_letters: a second.
        restarts: of predictor processes, since the workers began.
        memory: resident bytes of workers, predictors and image processes.
    """

    jobs: float
    failed: float
    latency: tuple[float, float, float] | None
    lag: float | None
    oldest: float
    drain: float | None
    stages: Mapping[str, float]
    batch: float | None
    closed: Mapping[str, float]
    slots: int
    slots_busy: float | None
    images_busy: float | None
    in_flight: int
    held: float
    waiting: int
    dead_letters: float
    restarts: int
    memory: float


def figures(changes: Sequence[Change]) -> Figures:
    """Sum workers up, or describe one."""
    latency = _merged(change.buckets(name) for change in changes for name in _LATENCIES)
    slots = int(_now(changes, "classify_predictor_slots"))
    return Figures(
        jobs=_rate(changes, "classify_jobs_total") + _rate(changes, "classify_http_requests_total"),
        failed=sum(
            _rate(changes, name, outcome="failure")
            for name in ("classify_jobs_total", "classify_http_requests_total")
        ),
        latency=_quantiles(latency),
        lag=_sum(_values(changes, "classify_partition_lag_records")),
        oldest=max(
            _values(changes, "classify_partition_oldest_unprocessed_age_seconds"), default=0.0
        ),
        # Each drains partitions of its own.
        drain=max(_values(changes, "classify_time_to_drain_seconds"), default=None),
        stages=_stages(changes),
        batch=_mean(changes, "classify_batch_size_images"),
        closed=_shares(change.by_label("classify_batches_total", "reason") for change in changes),
        slots=slots,
        slots_busy=_busy(changes, "classify_predictor_busy_seconds_total", slots),
        # Not by how many there are now: those that are there for one slow image come and go.
        images_busy=_busy(
            changes,
            "classify_image_processes_busy_seconds_total",
            _rate(changes, "classify_image_processes_up_seconds_total"),
        ),
        in_flight=int(
            _now(changes, "classify_jobs_in_flight")
            + _now(changes, "classify_http_requests_in_flight")
        ),
        held=_now(changes, "classify_buffered_bytes")
        + _now(changes, "classify_http_buffered_bytes"),
        waiting=int(
            _now(changes, "classify_ready_images") + _now(changes, "classify_queued_images")
        ),
        dead_letters=_rate(changes, "classify_dead_letters_total"),
        restarts=int(_now(changes, "classify_predictor_restarts_total")),
        memory=_now(changes, "process_resident_memory_bytes")
        + _now(changes, "classify_predictor_resident_memory_bytes")
        + _now(changes, "classify_image_processes_resident_memory_bytes"),
    )


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Estimate a quantile as Prometheus' `histogram_quantile` does: evenly within a bucket.

    Args:
        share: 0 to 1.
        buckets: by upper bound, the last one infinite, how many values are at most as large.

    Returns:
        The quantile; the largest finite bound where it is beyond it; None without values.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= wanted and count > below:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        below, lower = count, bound
    return lower


def _quantiles(buckets: Buckets) -> tuple[float, float, float] | None:
    half, most, nearly_all = (quantile(share, buckets) for share in (0.5, 0.95, 0.99))
    if half is None or most is None or nearly_all is None:
        return None
    return half, most, nearly_all


def _merged(histograms: Iterable[Buckets]) -> Buckets:
    """Histograms added up: those that have the same bounds as the first one."""
    merged: Buckets = {}
    for buckets in histograms:
        if not merged:
            merged = dict(buckets)
        elif merged.keys() == buckets.keys():
            merged = {bound: merged[bound] + buckets[bound] for bound in merged}
    return merged


def _rate(changes: Sequence[Change], name: str, **labels: str) -> float:
    return sum(change.grown(name, **labels) / change.seconds for change in changes)


def _values(changes: Sequence[Change], name: str) -> list[float]:
    found = (value for change in changes for value in change.after.values(name))
    return [value for value in found if not math.isnan(value)]


def _now(changes: Sequence[Change], name: str) -> float:
    return sum(value for value in _values(changes, name) if math.isfinite(value))


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None


def _mean(changes: Sequence[Change], histogram: str, **labels: str) -> float | None:
    count = sum(change.grown(f"{histogram}_count", **labels) for change in changes)
    if count <= 0:
        return None
    return sum(change.grown(f"{histogram}_sum", **labels) for change in changes) / count


def _stages(changes: Sequence[Change]) -> dict[str, float]:
    """Mean seconds of the stages in which there was a job."""
    means = {
        stage: _mean(changes, "classify_stage_duration_seconds", stage=stage) for stage in STAGES
    }
    return {stage: mean for stage, mean in means.items() if mean is not None}


def _busy(changes: Sequence[Change], name: str, workers: float) -> float | None:
    return min(1.0, _rate(changes, name) / workers) if workers else None


def _shares(amounts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    added: dict[str, float] = {}
    for each in amounts:
        for key, amount in each.items():
            added[key] = added.get(key, 0.0) + amount
    total = sum(added.values())
    ranked = sorted(added.items(), key=lambda item: -item[1])
    return {key: amount / total for key, amount in ranked if amount > 0}
