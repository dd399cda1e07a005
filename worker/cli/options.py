"""Options that several commands share, and the exit codes of all."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_UNAVAILABLE",
    "EXIT_USAGE",
    "Config",
    "Format",
    "Overrides",
]

EXIT_FAILED = 1
"""Something that was asked for failed: a job, an image."""

EXIT_USAGE = 2
"""The command line or the settings are wrong."""

EXIT_UNAVAILABLE = 3
"""Kafka, the model or a library that they need cannot be used."""

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the signal's number, as shells have it."""


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    TEXT = "text"


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file with settings; configs/worker.yaml shows all.",
        envvar="CLASSIFY_WORKER_CONFIG",
        show_default=False,
    ),
]

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Override one setting, such as kafka.group_id=mine; repeat for more.",
        show_default=False,
    ),
]
