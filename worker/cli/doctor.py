"""`classify-worker doctor`: checks what the worker needs, and says what to do if it is missing."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.options import EXIT_UNAVAILABLE, Config, Overrides

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from worker.doctor.findings import Finding

__all__ = ["doctor"]

GRACE = 1.5
"""Seconds that a check may take in addition to its own time-out."""

INDENT = 20
"""Columns for status and subject."""

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


class ReportFormat(enum.StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"


def doctor(
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Fetch this image as a job's would be."),
    ] = None,
    kafka: Annotated[
        bool,
        typer.Option("--kafka/--no-kafka", help="Look at brokers and topics; not for serve alone."),
    ] = True,
    timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="Time for each answer.")
    ] = 12.0,
    output: Annotated[
        ReportFormat, typer.Option("--format", help="Lines for people, or JSON.")
    ] = ReportFormat.TABLE,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Check what the worker needs, and say what to do: system, model, brokers, topics, URLs.

    Nothing is created, downloaded or changed. Exit code 3 if something that is needed is missing.

    Examples:
        classify-worker doctor --no-kafka
        classify-worker doctor --url https://example.org/cat.jpg
    """
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    import logging  # noqa: PLC0415

    from worker.doctor.checks import all_checks  # noqa: PLC0415
    from worker.doctor.findings import Status, examine  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    settings = load(config, overrides or ()).settings
    configure(LogSettings(level="error", format="console"))
    # The report says what would be logged, once and with a remedy.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    findings = examine(all_checks(settings, url, timeout, kafka=kafka), timeout + GRACE)
    if output is ReportFormat.JSON:
        found = list(findings)
        usable = all(finding.status is not Status.FAIL for finding in found)
        report = {"usable": usable, "findings": [asdict(finding) for finding in found]}
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        usable = _print_report(findings)
    if not usable:
        raise typer.Exit(EXIT_UNAVAILABLE)


def _print_report(findings: Iterable[Finding]) -> bool:
    """Print each finding as it comes, and return whether none of them is a failure."""
    from rich.console import Console  # noqa: PLC0415 - JSON needs no console
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    usable = True
    for finding in findings:
        usable = usable and finding.status != "fail"
        head = f"{finding.status:<5}{finding.subject:<{INDENT - 5}}"
        line = Text(_wrapped(head, finding.found, console))
        line.stylize(_STYLES[finding.status], 0, 5)
        line.stylize("bold", 5, INDENT)
        console.print(line, soft_wrap=True)
        if finding.remedy:
            arrow = f"{'':<{INDENT - 3}}-> "
            console.print(Text(_wrapped(arrow, finding.remedy, console)), soft_wrap=True)
    summary = "everything that is needed is there" if usable else "something needed is missing"
    console.print(Text(summary, style=_STYLES["ok" if usable else "fail"]), soft_wrap=True)
    return usable


def _wrapped(head: str, text: str, console: Console) -> str:
    """On a terminal, in lines that split no word, name or path; elsewhere one line, for grep."""
    from worker.cli.rows import wrap  # noqa: PLC0415 - JSON needs none

    if not console.is_terminal:
        return f"{head}{text}"
    return "\n".join(wrap(text, console.width, head, " " * INDENT))
