"""What a run measured becomes the tables of docs/performance.md, and nothing else of it changes."""

from __future__ import annotations

import pytest

from benchmarks.publish import as_markdown, replace_figures
from worker.bench.measurement import Measurement


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = "before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n"
    replaced = replace_figures(text, r"new \1")
    assert replaced == "before\n<!-- figures -->\n\nnew \\1\n\n<!-- end of figures -->\nafter\n"
    assert replace_figures(replaced, r"new \1") == replaced


def test_a_document_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="figures"):
        replace_figures("text", "new")


def test_every_measurement_is_in_a_table() -> None:
    details = {
        "stages_ms": {"decode": 1.5, "infer": 4.0},
        "ms_cpu_by_kind": {"event loop": 0.5},
        "event_loop_images_per_second": 2000.0,
        "event_loop_lag_ms": 21.0,
        "idle_loop_lag_ms": 20.0,
    }
    latency = {"latency_ms": {"p50": 9.0, "p90": 10.0, "p99": 11.0, "p99.9": 12.0}, "samples": 80}
    starts = {"start_seconds": {"median": 1.901, "longest": 2.345}, "starts": 7}
    lines = as_markdown(
        [
            Measurement("worker raw", "net", True, 100.0, 10.0, details),
            Measurement("worker at 25 %", "net", True, details=latency),
            Measurement("start to ready", "net", details=starts),
        ]
    ).splitlines()
    assert lines[0] == "### net"
    assert "| worker raw | yes | 100.0 | 10.00 |  |  | event loop 0.50 |  |" in lines
    assert "| worker raw | yes | 1.5 | 4.0 |" in lines
    assert "| worker at 25 % | yes |  | 9.0 | 10.0 | 11.0 | 12.0 | 1.2 |  | 80 |" in lines
    assert "| worker raw | yes | 21 | 20 |" in lines
    assert "| start to ready | 1.90 | 2.35 | 7 |" in lines
    assert lines[-1].endswith(": worker raw 2000.")
