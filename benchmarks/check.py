"""`make bench-check`: compares a run's ratios with those of the committed baseline.

Seconds belong to one machine and one hour, ratios of neighbours in one run do not.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.ratios import Finding, Ratio, compare, ratios
from worker.bench.measurement import Measurement

__all__ = ["findings_table", "read_run"]

BASELINE = Path(__file__).with_name("baseline.json")


def main(
    run: Annotated[Path, typer.Argument(help="What `make bench` wrote.")] = Path("out/bench.json"),
    baseline: Annotated[Path, typer.Option(help="The ratios to compare with.")] = BASELINE,
    update: Annotated[
        bool, typer.Option("--update", help="Write the run's ratios into the baseline instead.")
    ] = False,
) -> None:
    """Compare ratios; the exit code is 1 if one is worse than its tolerance allows."""
    if not run.is_file():
        raise typer.BadParameter(f"{run} does not exist: make bench writes it")
    now = ratios(read_run(json.loads(run.read_text("utf-8"))))
    if update:
        machine = json.loads(run.read_text("utf-8"))["machine"]
        rounded = {
            name: asdict(each) | {"value": round(each.value, 3)} for name, each in now.items()
        }
        text = json.dumps({"machine": machine, "ratios": rounded}, indent=2)
        baseline.write_text(text + "\n", "utf-8")
        return
    known = json.loads(baseline.read_text("utf-8"))["ratios"]
    findings = compare(now, {name: Ratio(**each) for name, each in known.items()})
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else 140
    console.print(findings_table(findings))
    bad = [each for each in findings if each.bad]
    if bad:
        console.print(
            f"{len(bad)} of {len(findings)} ratios are worse than their tolerance allows."
        )
        raise typer.Exit(1)
    console.print(f"All {len(findings)} ratios are within their tolerances.")


def read_run(written: dict[str, Any]) -> list[Measurement]:
    """Read what a run wrote.

    Returns:
        Its measurements.
    """
    return [Measurement.from_json(each) for each in written["measurements"]]


def findings_table(findings: list[Finding]) -> Table:
    """Lay out what a comparison found.

    Returns:
        A row for each finding.
    """
    table = Table(title="Ratios of this run and of the baseline")
    for heading in ("", "better", "baseline", "now", "worse by", "allowed", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for each in findings:
        table.add_row(
            each.name,
            each.baseline.better,
            f"{each.baseline.value:.2f}",
            "not measured" if each.now is None else f"{each.now:.2f}",
            "" if each.now is None else f"{each.worse:+.0%}",
            f"{each.baseline.tolerance:.0%}",
            "BAD" if each.bad else "",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
