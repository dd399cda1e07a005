"""Ratios of a run's measurements: what is left of its figures on another machine or a busy one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.open_loop import ONE_PRODUCE
from benchmarks.open_loop_clients import RECORD_TO_RESULT
from worker.bench import alone
from worker.bench.limit import (
    BARE_PROGRAM,
    TOGETHER,
    ratio_to_limit,
    ratio_to_together,
)
from worker.bench.measurement import Measurement
from worker.bench.process_tree import EVENT_LOOP

__all__ = ["Finding", "Known", "Ratio", "compare", "ratios"]

Better = Literal["higher", "lower"]

LIGHT = "worker at 25 %"

OF_CPU, OF_LATENCY = 0.25, 0.6
"""How much worse a ratio may get, relatively: CPU time of neighbours in one run repeats within some
15 % on a shared machine, latency far less well."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One ratio.

    Attributes:
        tolerance: how much worse it may get, relatively.
    """

    value: float
    better: Better
    tolerance: float


Known = Mapping[str, Ratio]


@dataclass(frozen=True, slots=True)
class Finding:
    """A ratio of a baseline, and what it is now.

    Attributes:
        now: None if the run did not measure it.
        worse: by how much it is worse, relatively; negative if it is better.
        bad: whether that is beyond its tolerance, or it was not measured.
    """

    name: str
    baseline: Ratio
    now: float | None
    worse: float
    bad: bool


def ratios(measurements: Sequence[Measurement]) -> dict[str, Ratio]:
    """Compute all ratios that the measurements allow.

    Returns:
        Ratios by name, which begins with the model's.
    """
    found: dict[str, Ratio] = {}
    for each in measurements:
        some = [other for other in measurements if other.model == each.model]
        found |= dict(_of(each, some))
    return found


def compare(now: Known, baseline: Known) -> list[Finding]:
    """Compare a run's ratios with those of a baseline.

    Returns:
        A finding for each ratio of the baseline, in its order.
    """
    return [_finding(name, known, now.get(name)) for name, known in baseline.items()]


def _finding(name: str, known: Ratio, now: Ratio | None) -> Finding:
    if now is None:
        return Finding(name, known, None, 0.0, bad=True)
    change = now.value / known.value - 1
    worse = change if known.better == "lower" else -change
    return Finding(name, known, now.value, worse, bad=worse > known.tolerance)


def _of(each: Measurement, some: Sequence[Measurement]) -> Iterable[tuple[str, Ratio]]:
    prefix = f"{each.model}{', pictures' if each.pictures else ''}: "
    by_kind: Mapping[str, float] = each.details.get("ms_cpu_by_kind", {})
    if each.name.startswith("worker ") and each.ms_cpu_per_image:
        limit = ratio_to_limit(each, some)
        if limit is not None:
            yield f"{prefix}limit / {each.name}, CPU", Ratio(limit, "higher", OF_CPU)
        together = ratio_to_together(each, some)
        if together is not None:
            yield f"{prefix}{TOGETHER} / {each.name}, CPU", Ratio(together, "higher", OF_CPU)
        if EVENT_LOOP in by_kind:
            share = by_kind[EVENT_LOOP] / each.ms_cpu_per_image
            yield f"{prefix}event loop / {each.name}, CPU", Ratio(share, "lower", OF_CPU)
    if each.name.startswith("ceiling "):
        floor = _named(some, "codec floor", pictures=each.pictures)
        if floor is not None and floor.ms_cpu_per_image:
            value = by_kind[EVENT_LOOP] / floor.ms_cpu_per_image
            name = f"{prefix}event loop of {each.name} / codec floor, CPU"
            yield name, Ratio(value, "lower", OF_CPU)
    if each.name in {LIGHT, f"{LIGHT}{RECORD_TO_RESULT}"}:
        yield from _latency(each, some, prefix)


def _latency(
    each: Measurement, some: Sequence[Measurement], prefix: str
) -> Iterable[tuple[str, Ratio]]:
    names: list[tuple[str, ...]] = [(alone.NAME,)]
    if each.name != LIGHT:
        bare = each.name.replace("worker", BARE_PROGRAM)
        names = [(alone.NAME, ONE_PRODUCE), (bare,)]
    for parts in names:
        least = [_named(some, part, pictures=each.pictures) for part in parts]
        if None not in least:
            value = _p50(each) / sum(_p50(part) for part in least if part is not None)
            name = f"{prefix}{each.name} / {' + '.join(parts)}, p50"
            yield name, Ratio(value, "lower", OF_LATENCY)


def _p50(measurement: Measurement) -> float:
    latency: Mapping[str, float] = measurement.details["latency_ms"]
    return latency["p50"]


def _named(some: Iterable[Measurement], name: str, *, pictures: bool) -> Measurement | None:
    found = (each for each in some if each.name == name and each.pictures == pictures)
    return next(found, None)
