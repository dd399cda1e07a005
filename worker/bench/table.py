"""Tables of a run's measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from worker.bench.latency import PERCENTILES
from worker.bench.limit import TRANSPORT, ratio_to_floors, ratio_to_limit
from worker.bench.measurement import Measurement

__all__ = ["latency_table", "tables", "throughput_rows", "throughput_table"]

_NONE = ""

_NOT_COMPARED = ("bare ", "codec floor", TRANSPORT, "ceiling ", "growth ")

HEADINGS = (
    "",
    "pictures",
    "images/s",
    "CPU ms/image",
    "limit/this",
    "with transport",
    "made up of",
    "peak MB",
)


def tables(measurements: Sequence[Measurement]) -> list[Table]:
    """Lay out everything that was measured: a table of throughput and one of latency, by model.

    Returns:
        The tables that are not empty.
    """
    found = []
    for model in dict.fromkeys(each.model for each in measurements):
        some = [each for each in measurements if each.model == model]
        found += [throughput_table(model, some), latency_table(model, some)]
    return [table for table in found if table.row_count]


def throughput_table(model: str, measurements: Sequence[Measurement]) -> Table:
    """Lay out images per second and CPU time."""
    table = Table(title=f"{model}: throughput; CPU time of all processes that were measured")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"", "made up of"} else "right")
    for row in throughput_rows(measurements):
        table.add_row(*row)
    return table


def throughput_rows(measurements: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Write the cells of `throughput_table`.

    Returns:
        A row for each measurement with a rate, in their order, as long as `HEADINGS`.
    """
    return [
        (
            each.name,
            "yes" if each.pictures else "no",
            _number(each.images_per_second, 1),
            _number(each.ms_cpu_per_image, 2),
            _number(ratio_to_limit(each, measurements) if _comparable(each) else None, 2),
            _number(ratio_to_floors(each, measurements) if _comparable(each) else None, 2),
            _made_up(each.details),
            _number(each.details.get("peak_mb"), 0),
        )
        for each in measurements
        if each.images_per_second is not None
    ]


def latency_table(model: str, measurements: Iterable[Measurement]) -> Table:
    """Lay out percentiles of latency."""
    table = Table(title=f"{model}: latency in ms, from when an image was due")
    names = [f"p{percent:g}" for percent in PERCENTILES]
    for heading in ("", "pictures", "images/s", *names, "samples"):
        table.add_column(heading, justify="right" if heading else "left")
    for each in measurements:
        if latency := each.details.get("latency_ms"):
            table.add_row(
                each.name,
                "yes" if each.pictures else "no",
                _number(each.details.get("at_images_per_second"), 1),
                *(_number(latency.get(name), 1) for name in names),
                str(each.details.get("samples", "")),
            )
    return table


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
