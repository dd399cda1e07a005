"""What is on the screen of `top`, in 80 columns and 24 lines."""

from __future__ import annotations

import math

import pytest

from worker.cli.top_screen import HEADINGS, _time, render
from worker.top.figures import Change
from worker.top.scrape import Address, Labels, Snapshot
from worker.top.watch import Seen


def sample(**labels: str) -> Labels:
    return frozenset(labels.items())


def snapshot(at: float, done: float, *, ready: float = 1.0, lag: float = 0.0) -> Snapshot:
    return Snapshot(
        at,
        {
            "classify_ready": {sample(): ready},
            "classify_jobs_total": {sample(outcome="success", reason="ok"): done},
            "classify_partition_lag_records": {sample(topic="t", partition="0"): lag},
            "classify_time_to_drain_seconds": {sample(): math.inf},
            "classify_stage_duration_seconds_sum": {
                sample(stage="decode"): done * 0.01,
                sample(stage="infer"): done * 0.04,
            },
            "classify_stage_duration_seconds_count": {
                sample(stage="decode"): done,
                sample(stage="infer"): done,
            },
            "classify_model_info": {sample(name="Net\x1b[2J", backend="paddle", device="cpu"): 1.0},
            "classify_worker_info": {sample(group="group", topic="jobs", replica="r"): 1.0},
        },
    )


def working(port: int, *, jobs: float = 20.0, ready: float = 1.0) -> Seen:
    before, after = snapshot(0.0, 0.0), snapshot(2.0, jobs, ready=ready, lag=7.0)
    return Seen(Address(False, "host", port), after, Change(before, after))


def down(port: int) -> Seen:
    return Seen(Address(False, "host", port), problem="connection refused")


def shown(*seen: Seen, height: int | None = 24) -> list[str]:
    return [line.plain for line in render(seen, height)]


def row(lines: list[str], name: str) -> list[str]:
    (found,) = (line for line in lines if line.startswith(f"{name} "))
    return found.split()


def test_a_worker_has_a_row_and_its_stages_bars() -> None:
    lines = shown(working(1))
    assert row(lines, "worker") == ["worker", *HEADINGS, "state"]
    assert row(lines, "host:1") == ["host:1", "10.0", "-", "-", "-", "7", "never", "ready"]
    assert row(lines, "infer") == ["infer", "40", "ms", "█" * 40]
    assert row(lines, "decode") == ["decode", "10", "ms", "█" * 10]
    assert row(lines, "fetch")[1:] == ["-"]
    assert row(lines, "group")[1:] == ["group", "jobs"]
    assert not any(line.startswith("all ") for line in lines)


def test_several_workers_are_summed_and_one_that_is_down_is_shown() -> None:
    lines = shown(working(1), working(2, jobs=2.0, ready=0.0), down(3))
    assert row(lines, "all")[:2] == ["all", "11.0"]
    assert row(lines, "all")[-3:] == ["2", "of", "3"]
    assert row(lines, "host:2")[-2:] == ["not", "ready"]
    assert row(lines, "host:3")[1:] == ["down:", "connection", "refused"]


@pytest.mark.parametrize("count", [1, 2, 6, 7, 60])
def test_it_fits_24_lines_of_80_columns(count: int) -> None:
    lines = shown(*(working(port, ready=0.0) for port in range(1, count)), down(count))
    assert len(lines) < 24  # one is for what quits it
    assert max(map(len, lines)) <= 80
    assert any("more" in line for line in lines) == (count > 6)


def test_all_down_or_none_asked_yet_is_no_error() -> None:
    assert "down: connection refused" in "\n".join(shown(down(1), down(2)))
    assert row(shown(Seen(Address(False, "host", 1))), "host:1")[-1] == "..."


def test_a_name_cannot_command_the_terminal() -> None:
    odd = Seen(Address(False, "ho\x1b[2Jst", 2), problem="odd\x1b[2J")
    assert "\x1b" not in "".join(shown(working(1), odd))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "never"),
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.0454, "45 ms"),
        (1.23, "1.2 s"),
        (90.0, "90 s"),
        (600.0, "10 min"),
        (7200.0, "2.0 h"),
    ],
)
def test_times_are_short(seconds: float | None, text: str) -> None:
    assert _time(seconds) == text
