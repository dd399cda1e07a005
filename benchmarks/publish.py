"""Puts a run's figures into docs/performance.md, with their plot: `python -m benchmarks.publish`.

Several files may be given, such as those of `make bench` and `make bench-peers`. Only what lies
between the document's markers is replaced; what the figures mean is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.check import read_run
from worker.bench.measurement import Measurement
from worker.bench.plot import plot
from worker.bench.table import (
    HEADINGS,
    LAG_HEADINGS,
    LAG_TITLE,
    LATENCY_HEADINGS,
    LATENCY_TITLE,
    START_HEADINGS,
    START_TITLE,
    lag_rows,
    latency_rows,
    start_rows,
    throughput_rows,
)

__all__ = ["as_markdown", "replace_figures"]

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "performance.svg"
MARKED = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", re.DOTALL)

_GROWTH = "growth "


def main(
    runs: Annotated[list[Path] | None, typer.Argument(help="What `make bench` wrote.")] = None,
) -> None:
    """Write the tables and the plot; `benchmarks.check --update` writes the baseline."""
    written = [json.loads(path.read_text("utf-8")) for path in runs or [Path("out/bench.json")]]
    measured = [each for run in written for each in read_run(run)]
    text = DOCUMENT.read_text("utf-8")
    figures = "\n\n".join([_machine(written[0]["machine"]), as_markdown(measured)])
    DOCUMENT.write_text(replace_figures(text, figures), "utf-8")
    shown = [each for each in measured if not each.name.startswith(_GROWTH)]
    PLOT.write_text(plot(shown), "utf-8")


def replace_figures(text: str, figures: str) -> str:
    """Put figures between the markers of a document.

    Returns:
        The document.

    Raises:
        ValueError: it has no markers, or several.
    """
    replaced, count = MARKED.subn(lambda _: f"\n{figures}\n\n", text)
    if count != 1:
        raise ValueError(
            "the document has to have <!-- figures --> and <!-- end of figures --> once"
        )
    return replaced


def as_markdown(measured: Sequence[Measurement]) -> str:
    """Write tables of throughput, stages, latency, event loops and starts, by model.

    Returns:
        Markdown.
    """
    parts = []
    for model in dict.fromkeys(each.model for each in measured):
        some = [each for each in measured if each.model == model]
        parts.append(f"### {model}")
        parts += [
            _table(HEADINGS, throughput_rows(some)),
            *_stages(some),
            *_titled(LATENCY_TITLE, LATENCY_HEADINGS, latency_rows(some)),
            *_titled(LAG_TITLE, LAG_HEADINGS, lag_rows(some)),
            *_titled(START_TITLE, START_HEADINGS, start_rows(some)),
            *_ceiling(some),
        ]
    return "\n\n".join(part for part in parts if part)


def _machine(machine: Mapping[str, Any]) -> str:
    known = ", ".join(
        f"{name} {value}" for name, value in machine.items() if name != "load_average"
    )
    loads = ", ".join(map(str, machine["load_average"]))
    return f"Measured on: {known}. Load averages at the end (1, 5 and 15 minutes): {loads}."


def _stages(some: Iterable[Measurement]) -> list[str]:
    rows = {
        (each.name, _yes(each)): each.details["stages_ms"]
        for each in some
        if each.details.get("stages_ms") and each.name.startswith(("worker ", "engine"))
    }
    stages = list(dict.fromkeys(stage for times in rows.values() for stage in times))
    cells = [
        (*name, *(_number(times.get(each)) for each in stages)) for name, times in rows.items()
    ]
    title = "Where a job's time goes, by the worker's own metrics, ms per job at saturation"
    return _titled(title, ("", "pictures", *stages), cells)


def _titled(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"{title[0].upper()}{title[1:]}:", _table(headings, rows)] if rows else []


def _ceiling(some: Iterable[Measurement]) -> list[str]:
    found = [
        f"{each.name} {each.details['event_loop_images_per_second']:.0f}"
        for each in some
        if "event_loop_images_per_second" in each.details
    ]
    title = "What one event loop can move, in images/s (1000 / its CPU ms per image)"
    return [f"{title}: {', '.join(found)}."] if found else []


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _yes(each: Measurement) -> str:
    return "yes" if each.pictures else "no"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    typer.run(main)
