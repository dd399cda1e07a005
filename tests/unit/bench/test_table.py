"""Tables and the plot show each measurement."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

from rich.console import Console

from worker.bench.measurement import Measurement
from worker.bench.plot import plot
from worker.bench.table import (
    HEADINGS,
    LATENCY_HEADINGS,
    lag_rows,
    latency_rows,
    start_rows,
    tables,
    throughput_rows,
)

MEASURED = [
    Measurement("bare paddle", "net", False, 200.0, 6.0, {"batch": 8, "layout": "2x1"}),
    Measurement("codec floor", "net", False, 500.0, 2.0),
    Measurement(
        "worker raw",
        "net",
        False,
        100.0,
        10.0,
        {"ms_cpu_by_kind": {"event loop": 2.0, "predictors": 8.0}, "peak_mb": 512.3},
    ),
    Measurement(
        "worker at 25 %",
        "net",
        details={
            "latency_ms": {"p50": 12.0, "p90": 13.0, "p99": 14.0, "p99.9": 15.0},
            "samples": 99,
            "at_images_per_second": 25.0,
        },
    ),
]


def test_the_worker_has_its_ratio_to_the_limit_and_parts_of_the_limit_have_none() -> None:
    rows = throughput_rows(MEASURED)
    assert [row[0] for row in rows] == ["bare paddle", "codec floor", "worker raw"]
    assert all(len(row) == len(HEADINGS) for row in rows)
    assert [row[HEADINGS.index("limit/this")] for row in rows] == ["", "", "0.80"]
    assert rows[0][HEADINGS.index("made up of")] == "batch 8, processes x threads 2x1"
    made_up = "event loop 2.00, predictors 8.00"
    assert rows[2][2:] == ("100.0", "10.00", "0.80", "", made_up, "512")


def test_the_floors_together_are_compared_with_the_limit_and_the_worker_with_them() -> None:
    details = {"layout": "2x1", "batch": 8, "ms_cpu_by_kind": {"predictors": 8.5}}
    together = Measurement("floors together raw", "net", False, 120.0, 8.5, details)
    rest = Measurement("ceiling raw", "net", False, 500.0, 2.0)
    rows = throughput_rows([*MEASURED, rest, together])
    assert [row[HEADINGS.index("together/this")] for row in rows] == ["", "", "0.85", "", ""]
    assert rows[-1][HEADINGS.index("limit/this")] == "0.94"
    assert rows[-1][HEADINGS.index("made up of")] == "predictors 8.50"


def test_latency_has_a_table_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=140)
    for table in tables(MEASURED):
        console.print(table)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "net: throughput" in shown
    (row,) = (line for line in shown.splitlines() if "worker at 25 %" in line)
    assert row.replace("│", " ").split()[4:] == [
        "no",
        "25.0",
        "12.0",
        "13.0",
        "14.0",
        "15.0",
        "1.2",
        "99",
    ]


def test_the_worker_at_light_load_says_how_many_times_as_long_as_a_bare_program_it_takes() -> None:
    quick = {"latency_ms": {"p50": 8.0, "p90": 8.5, "p99": 7.0, "p99.9": 9.0}}
    rows = latency_rows([*MEASURED, Measurement("bare program at 25 %", "net", details=quick)])
    shown = [row[LATENCY_HEADINGS.index("p50, p99 to bare program")] for row in rows]
    assert shown == ["1.50, 2.00", ""]
    assert all(len(row) == len(LATENCY_HEADINGS) for row in rows)


def test_event_loops_have_a_table_beside_one_that_does_nothing() -> None:
    lags = {"event_loop_lag_ms": 31.2, "idle_loop_lag_ms": 28.9}
    rows = lag_rows(
        [
            *MEASURED,
            Measurement("worker raw", "net", True, details=lags),
            Measurement("floors together raw", "net", details={**lags, "event_loop_lag_ms": 9.8}),
            # Older runs did not ask it for its own.
            Measurement("transport floor raw", "net", details={"idle_loop_lag_ms": 27.0}),
        ]
    )
    assert rows == [
        ("worker raw", "yes", "31", "29"),
        ("floors together raw", "no", "10", "29"),
        ("transport floor raw", "no", "", "27"),
    ]


def test_starts_have_a_table() -> None:
    took = {"start_seconds": {"median": 1.904, "longest": 2.218}, "starts": 7}
    rows = start_rows([*MEASURED, Measurement("start to ready", "net", details=took)])
    assert rows == [("start to ready", "1.90", "2.22", "7")]


def test_the_plot_is_an_image_with_a_bar_for_each_part() -> None:
    drawing = ET.fromstring(plot(MEASURED))  # noqa: S314 - what was just made
    texts = [each.text for each in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"net: bare paddle", "net: worker raw", "event loop", "predictors", "10.0"} <= set(texts)
    assert "net: worker at 25 %" not in texts


def test_names_cannot_break_the_plot() -> None:
    ET.fromstring(plot([Measurement("<&>", "a&b", False, 1.0, 1.0)]))  # noqa: S314
