"""The worker beside its peers: ratios of neighbours in one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.table import Table

from benchmarks.peers.aims import AIMS, AIMS_MODEL
from benchmarks.peers.limit import LIMITS
from worker.bench.measurement import Measurement

__all__ = [
    "FIGURES",
    "RATIOS",
    "WORKER",
    "Ratio",
    "compare",
    "figure_rows",
    "in_rounds",
    "in_turn",
    "line",
    "ratio_rows",
    "tables",
]

L = TypeVar("L")

WORKER = "worker"
"""How the names of the worker's own measurements begin; all others but `LIMITS` are peers'."""


FIGURES = ("program", "load", "images/s", "CPU ms/image", "p50 ms", "p99 ms", "rounds")

RATIOS = ("worker", "peer", "load", "images/s", "CPU per image", "p50", "p99", "pairs", "aim")

PERCENTILES = ("p50", "p99")

TEXTS = {"program", "worker", "peer", "load", "aim"}


@dataclass(frozen=True, slots=True)
class Ratio:
    """The worker against a peer: medians over the rounds of one run.

    Attributes:
        model: the network.
        worker: which of the worker's backends.
        load: what both did.
        pairs: rounds in which both were measured.
        rate: images/s, the peer's as 1; the lowest and the highest of a round beside it. None at
            a given load.
        cpu: CPU time per image, the peer's as 1.
        latencies: from record to result at a given load, p50 and p99; the peer's as 1.
    """

    model: str
    worker: str
    peer: str
    load: str
    pairs: int
    rate: tuple[float, float, float] | None
    cpu: tuple[float, float, float]
    latencies: tuple[tuple[float, float, float] | None, ...] = (None, None)

    @property
    def aim(self) -> str:
        """What it is meant to be, and whether it is; empty where there is no aim."""
        aim = AIMS.get((self.peer, self.load))
        if aim is None or self.model != AIMS_MODEL:
            return ""
        rate = (aim.rate or 0.0) if self.rate is None else self.rate[0]
        reached = aim.reached(rate, self.cpu[0])
        if self.worker in LIMITS:
            # What it misses nobody can reach.
            return f"{aim}: {'within' if reached else 'beyond'} the limit"
        return f"{aim}: {'reached' if reached else 'missed'}"


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Order a round's measurements: back and forth, so that a machine's drift favours none.

    Args:
        number: of the round, from 0.

    Returns:
        The names.
    """
    return list(names[:: 1 if number % 2 == 0 else -1])


def in_rounds(
    rounds: int, loads: Iterable[L], names: Sequence[str]
) -> Iterator[tuple[int, L, str]]:
    """Order all measurements of a run: each round has every load, done by all names in turn.

    Yields:
        The round's number from 0, the load and the name.
    """
    loads = tuple(loads)
    for number in range(rounds):
        for load in loads:
            for name in in_turn(names, number):
                yield number, load, name


def compare(measurements: Iterable[Measurement]) -> list[Ratio]:
    """Compare each of the worker's measurements with the peers' of the same load and round.

    Args:
        measurements: with `load` and `round` among their details.

    Returns:
        A ratio for each load, peer and kind of worker that have a round in common.
    """
    rounds: dict[tuple[str, str], dict[int, Measurement]] = {}
    for each in measurements:
        of_name = rounds.setdefault((_load(each), each.name), {})
        of_name[each.details["round"]] = each
    found = []
    for (load, peer), theirs in rounds.items():
        if _is_ours(peer):
            continue
        for (same, worker), ours in rounds.items():
            both = sorted(ours.keys() & theirs.keys())
            if same == load and _is_ours(worker) and both:
                pairs = [(ours[number], theirs[number]) for number in both]
                found.append(
                    Ratio(
                        pairs[0][0].model,
                        worker,
                        peer,
                        load,
                        len(pairs),
                        None
                        if pairs[0][0].images_per_second is None
                        else _middle(
                            [_of(a.images_per_second, b.images_per_second) for a, b in pairs]
                        ),
                        _middle([_of(a.ms_cpu_per_image, b.ms_cpu_per_image) for a, b in pairs]),
                        tuple(_latencies(pairs, name) for name in PERCENTILES),
                    )
                )
    return found


def figure_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of the table of figures, `FIGURES`.

    Returns:
        A row for each program and load.
    """
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for each in measurements:
        groups.setdefault((_load(each), each.name), []).append(each)
    return [
        (
            name,
            load,
            ""
            if some[0].images_per_second is None
            else f"{statistics.median(each.images_per_second or 0.0 for each in some):.1f}",
            f"{statistics.median(each.ms_cpu_per_image or 0.0 for each in some):.1f}",
            *(_latency(some, percentile) for percentile in PERCENTILES),
            str(len(some)),
        )
        for (load, name), some in groups.items()
    ]


def ratio_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of the table of ratios, `RATIOS`.

    Returns:
        A row for each of `compare`.
    """
    return [
        (
            ratio.worker,
            ratio.peer,
            ratio.load,
            "" if ratio.rate is None else _written(ratio.rate),
            _written(ratio.cpu),
            *("" if each is None else _written(each) for each in ratio.latencies),
            str(ratio.pairs),
            ratio.aim,
        )
        for ratio in compare(measurements)
    ]


def tables(measurements: Sequence[Measurement]) -> list[Table]:
    """Lay out what was measured, medians of the rounds, and the ratios.

    Returns:
        Two tables.
    """
    laid_out = []
    for title, headings, rows in (
        ("Medians of all rounds", FIGURES, figure_rows(measurements)),
        ("Medians of pairs (lowest to highest), the peer as 1", RATIOS, ratio_rows(measurements)),
    ):
        table = Table(title=title)
        for heading in headings:
            table.add_column(heading, justify="left" if heading in TEXTS else "right")
        for row in rows:
            table.add_row(*row)
        laid_out.append(table)
    return laid_out


def line(measurement: Measurement) -> str:
    """Write a measurement for a person who waits for the next.

    Returns:
        A line.
    """
    rate = measurement.images_per_second
    return (
        f"round {measurement.details['round'] + 1}, {measurement.name}, {_load(measurement)}: "
        f"{'' if rate is None else f'{rate:.1f} images/s, '}"
        f"{measurement.ms_cpu_per_image:.1f} ms of CPU per image"
    )


def _is_ours(name: str) -> bool:
    """Whether it is compared with the peers; a limit is what the worker could be at best."""
    return name in LIMITS or name.startswith(WORKER)


def _load(measurement: Measurement) -> str:
    pictures = "with pictures" if measurement.pictures else "without pictures"
    return f"{measurement.details['load']}, {pictures}"


def _of(ours: float | None, theirs: float | None) -> float:
    return ours / theirs if ours and theirs else 0.0


def _latencies(
    pairs: Sequence[tuple[Measurement, Measurement]], percentile: str
) -> tuple[float, float, float] | None:
    if not all("latency_ms" in each.details for pair in pairs for each in pair):
        return None
    return _middle(
        [
            _of(a.details["latency_ms"][percentile], b.details["latency_ms"][percentile])
            for a, b in pairs
        ]
    )


def _latency(some: Sequence[Measurement], percentile: str) -> str:
    if "latency_ms" not in some[0].details:
        return ""
    return f"{statistics.median(each.details['latency_ms'][percentile] for each in some):.1f}"


def _middle(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _written(values: tuple[float, float, float]) -> str:
    median, lowest, highest = values
    return f"{median:.2f} ({lowest:.2f} to {highest:.2f})"
