"""Tables of a run's measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from worker.bench.latency import PERCENTILES
from worker.bench.limit import (
    TRANSPORT,
    ratio_to_limit,
    ratio_to_together,
    ratios_to_bare_program,
)
from worker.bench.measurement import Measurement

__all__ = [
    "HEADINGS",
    "LAG_HEADINGS",
    "LAG_TITLE",
    "LATENCY_HEADINGS",
    "LATENCY_TITLE",
    "STARTS",
    "START_HEADINGS",
    "START_TITLE",
    "lag_rows",
    "latency_rows",
    "start_rows",
    "tables",
    "throughput_rows",
]

LOOP_LAG, IDLE_LAG = "event_loop_lag_ms", "idle_loop_lag_ms"
"""The details with the longest delay of a worker's event loop, and of one beside it."""

STARTS = "start_seconds"
"""The detail with the median and the longest of several starts."""

_NONE = ""

_NOT_COMPARED = ("bare ", "codec floor", TRANSPORT, "ceiling ", "growth ")

HEADINGS = (
    "",
    "pictures",
    "images/s",
    "CPU ms/image",
    "limit/this",
    "together/this",
    "made up of",
    "peak MB",
)

_PERCENTILES = tuple(f"p{percent:g}" for percent in PERCENTILES)

AS_LONG = "p50, p99 to bare program"
LATENCY_HEADINGS = ("", "pictures", "images/s", *_PERCENTILES, "p99/p50", AS_LONG, "samples")
LATENCY_TITLE = "latency in ms, from when an image was due"

LAG_HEADINGS = ("", "pictures", "event loop", "a loop that does nothing")
LAG_TITLE = "longest delay of the event loop in ms, and of one beside it that has nothing to do"

START_HEADINGS = ("", "median", "longest", "starts")
START_TITLE = "seconds until a worker is ready or a command has answered, with warm caches"


def tables(measurements: Sequence[Measurement]) -> list[Table]:
    """Lay out everything that was measured: throughput, latency, event loops and starts, by model.

    Returns:
        The tables that are not empty.
    """
    found = []
    for model in dict.fromkeys(each.model for each in measurements):
        some = [each for each in measurements if each.model == model]
        found += [
            throughput_table(model, some),
            latency_table(model, some),
            lag_table(model, some),
            start_table(model, some),
        ]
    return [table for table in found if table.row_count]


def throughput_table(model: str, measurements: Sequence[Measurement]) -> Table:
    """Lay out images per second and CPU time."""
    title = f"{model}: throughput; CPU time of all processes that were measured"
    return _laid_out(title, HEADINGS, throughput_rows(measurements))


def throughput_rows(measurements: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of `throughput_table`.

    Returns:
        A row for each measurement with a rate, in their order, as long as `HEADINGS`.
    """
    return [
        (
            each.name,
            _yes(each),
            _number(each.images_per_second, 1),
            _number(each.ms_cpu_per_image, 2),
            _number(ratio_to_limit(each, measurements) if _comparable(each) else None, 2),
            _number(ratio_to_together(each, measurements) if _comparable(each) else None, 2),
            _made_up(each.details),
            _number(each.details.get("peak_mb"), 0),
        )
        for each in measurements
        if each.images_per_second is not None
    ]


def latency_table(model: str, measurements: Sequence[Measurement]) -> Table:
    """Lay out percentiles of latency."""
    return _laid_out(f"{model}: {LATENCY_TITLE}", LATENCY_HEADINGS, latency_rows(measurements))


def latency_rows(measurements: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of `latency_table`.

    Returns:
        A row for each measurement with percentiles, in their order, as long as `LATENCY_HEADINGS`.
    """
    return [
        (
            each.name,
            _yes(each),
            _number(each.details.get("at_images_per_second"), 1),
            *(_number(latency.get(name), 1) for name in _PERCENTILES),
            _number(latency["p99"] / latency["p50"] if latency["p50"] else None, 1),
            ", ".join(
                _number(ratio, 2) for ratio in ratios_to_bare_program(each, measurements) or ()
            ),
            str(each.details.get("samples", "")),
        )
        for each in measurements
        if (latency := each.details.get("latency_ms"))
    ]


def lag_table(model: str, measurements: Iterable[Measurement]) -> Table:
    """Lay out how long event loops were kept waiting."""
    return _laid_out(f"{model}: {LAG_TITLE}", LAG_HEADINGS, lag_rows(measurements))


def lag_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of `lag_table`.

    Returns:
        A row for each measurement that has an idle loop beside it, as long as `LAG_HEADINGS`.
    """
    return [
        (
            each.name,
            _yes(each),
            _number(each.details.get(LOOP_LAG), 0),
            _number(each.details[IDLE_LAG], 0),
        )
        for each in measurements
        if IDLE_LAG in each.details
    ]


def start_table(model: str, measurements: Iterable[Measurement]) -> Table:
    """Lay out how long starts took."""
    return _laid_out(f"{model}: {START_TITLE}", START_HEADINGS, start_rows(measurements))


def start_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of `start_table`.

    Returns:
        A row for each measurement of starts, in their order, as long as `START_HEADINGS`.
    """
    return [
        (
            each.name,
            _number(each.details[STARTS]["median"], 2),
            _number(each.details[STARTS]["longest"], 2),
            str(each.details["starts"]),
        )
        for each in measurements
        if STARTS in each.details
    ]


def _laid_out(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"", "made up of"} else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _yes(each: Measurement) -> str:
    return "yes" if each.pictures else "no"


def _comparable(measurement: Measurement) -> bool:
    """Whether it does what the limit is made of: a part of it, or other images, does not."""
    return not measurement.name.startswith(_NOT_COMPARED)


def _made_up(details: Mapping[str, object]) -> str:
    by_kind = details.get("ms_cpu_by_kind")
    if isinstance(by_kind, Mapping):
        return ", ".join(f"{kind} {value:.2f}" for kind, value in by_kind.items() if value)
    if "layout" in details:
        return f"batch {details['batch']}, processes x threads {details['layout']}"
    return _NONE


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"
