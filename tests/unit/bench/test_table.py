"""Tables and the plot show each measurement."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

from rich.console import Console

from worker.bench.measurement import Measurement
from worker.bench.plot import plot
from worker.bench.table import HEADINGS, tables, throughput_rows

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


def test_with_the_transport_the_worker_is_nearer_to_what_nobody_can_leave_out() -> None:
    transport = Measurement("transport floor raw", "net", False, 900.0, 0.5)
    rows = throughput_rows([*MEASURED, transport])
    assert [row[HEADINGS.index("with transport")] for row in rows] == ["", "", "0.85", ""]


def test_latency_has_a_table_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=140)
    for table in tables(MEASURED):
        console.print(table)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "net: throughput" in shown
    (row,) = (line for line in shown.splitlines() if "worker at 25 %" in line)
    assert row.replace("│", " ").split()[4:] == ["no", "25.0", "12.0", "13.0", "14.0", "15.0", "99"]


def test_the_plot_is_an_image_with_a_bar_for_each_part() -> None:
    drawing = ET.fromstring(plot(MEASURED))  # noqa: S314 - what was just made
    texts = [each.text for each in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"net: bare paddle", "net: worker raw", "event loop", "predictors", "10.0"} <= set(texts)
    assert "net: worker at 25 %" not in texts


def test_names_cannot_break_the_plot() -> None:
    ET.fromstring(plot([Measurement("<&>", "a&b", False, 1.0, 1.0)]))  # noqa: S314
