"""`make bench-check` compares ratios, each within its tolerance, and misses none."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.check import findings_table
from benchmarks.ratios import Finding, Ratio, compare, ratios
from worker.bench.measurement import Measurement

CPU = {"event loop": 2.0, "predictors": 10.0}
RUN = [
    Measurement("bare paddle", "net", False, 200.0, 6.0),
    Measurement("codec floor", "net", False, 500.0, 4.0),
    Measurement("bare decode, infer, draw", "net", details={"latency_ms": {"p50": 10.0}}),
    Measurement("floors together raw", "net", False, 95.0, 10.0, {"ms_cpu_by_kind": CPU}),
    Measurement("worker raw", "net", False, 90.0, 12.5, {"ms_cpu_by_kind": CPU}),
    Measurement("worker at 25 %", "net", details={"latency_ms": {"p50": 12.0}}),
    Measurement("worker at 25 %, record to result", "net", details={"latency_ms": {"p50": 9.0}}),
    Measurement(
        "bare program at 25 %, record to result", "net", details={"latency_ms": {"p50": 7.5}}
    ),
    Measurement("one produce", "net", details={"latency_ms": {"p50": 2.0}}),
    Measurement("ceiling raw", "net", False, 400.0, 5.0, {"ms_cpu_by_kind": {"event loop": 1.0}}),
]


def test_a_run_has_ratios_and_no_seconds() -> None:
    assert {name: each.value for name, each in ratios(RUN).items()} == {
        "net: limit / worker raw, CPU": 0.8,
        "net: floors together / worker raw, CPU": 0.8,
        "net: event loop / worker raw, CPU": 0.16,
        "net: worker at 25 % / bare decode, infer, draw, p50": 1.2,
        "net: worker at 25 %, record to result / bare decode, infer, draw + one produce, p50": 0.75,
        "net: worker at 25 %, record to result / bare program at 25 %, record to result, p50": 1.2,
        "net: event loop of ceiling raw / codec floor, CPU": 0.25,
    }


def test_a_slower_machine_has_the_same_ratios() -> None:
    def slower(each: Measurement) -> Measurement:
        details = {
            name: {key: 3 * value for key, value in some.items()}
            for name, some in each.details.items()
        }
        rate, cpu = each.images_per_second, each.ms_cpu_per_image
        return replace(
            each,
            images_per_second=rate and rate / 3,
            ms_cpu_per_image=cpu and cpu * 3,
            details=details,
        )

    found = compare(ratios([slower(each) for each in RUN]), ratios(RUN))
    assert [each.bad for each in found] == [False] * 7
    assert [each.worse for each in found] == pytest.approx([0.0] * 7)


@pytest.mark.parametrize(
    ("better", "now", "bad"),
    [
        ("higher", 0.81, False),
        ("higher", 0.79, True),
        ("higher", 3.0, False),
        ("lower", 1.19, False),
        ("lower", 1.21, True),
        ("lower", 0.1, False),
    ],
)
def test_only_what_is_worse_than_its_tolerance_is_bad(better: str, now: float, bad: bool) -> None:
    known = Ratio(1.0, better, 0.2)  # type: ignore[arg-type]
    (found,) = compare({"a": Ratio(now, known.better, 0.2)}, {"a": known})
    assert found.bad is bad
    assert found.now == now


def test_a_ratio_that_was_not_measured_is_bad_and_a_new_one_is_not_looked_for() -> None:
    found = compare({"new": Ratio(1.0, "lower", 0.2)}, {"old": Ratio(1.0, "lower", 0.2)})
    assert [(each.name, each.bad, each.now) for each in found] == [("old", True, None)]


def test_the_table_marks_what_is_bad() -> None:
    ratio = Ratio(1.0, "lower", 0.2)
    console = Console(file=io.StringIO(), width=120)
    console.print(
        findings_table(
            [
                Finding("fine", ratio, 1.1, 0.1, bad=False),
                Finding("bad", ratio, 1.5, 0.5, bad=True),
                Finding("gone", ratio, None, 0.0, bad=True),
            ]
        )
    )
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    rows = [line.replace("│", " ").split() for line in lines if "│" in line]
    assert rows == [
        ["fine", "lower", "1.00", "1.10", "+10%", "20%"],
        ["bad", "lower", "1.00", "1.50", "+50%", "20%", "BAD"],
        ["gone", "lower", "1.00", "not", "measured", "20%", "BAD"],
    ]
