"""Options that several commands share, and the exit codes of all.

Heavy imports are left to the commands' own functions: `--help` loads this module alone.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from worker.device import DEVICE_FORMS

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_UNAVAILABLE",
    "EXIT_USAGE",
    "INPUT_GROUP",
    "MODEL_GROUP",
    "OUTPUT_GROUP",
    "BatchSize",
    "Config",
    "Device",
    "Format",
    "Inputs",
    "Model",
    "OutputFile",
    "OutputFormat",
    "Overrides",
    "TopK",
    "UseHpip",
]

EXIT_FAILED = 1
"""Something that was asked for failed: a job, an image."""

EXIT_USAGE = 2
"""The command line or the settings are wrong."""

EXIT_UNAVAILABLE = 3
"""Kafka, the model or a library that they need cannot be used."""

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C: 128 plus the signal's number, as in shells."""

INPUT_GROUP = "Input"
MODEL_GROUP = "Model"
OUTPUT_GROUP = "Output"


class OutputFormat(enum.StrEnum):
    """How results are written to standard output."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    TEXT = "text"
    """The dictionary that PaddleX prints; of `predict` alone."""


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="YAML file with settings; configs/worker.yaml shows all. "
        "Else the one that CLASSIFY_WORKER_CONFIG names.",
        envvar="CLASSIFY_WORKER_CONFIG",
        show_envvar=False,
        show_default=False,
    ),
]

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Override one setting, such as fetch.read_timeout=10; repeat for more.",
        show_default=False,
    ),
]

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="INPUT",
        help="The same, as PaddleX has it; repeat for more.",
        show_default=False,
        rich_help_panel=INPUT_GROUP,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|DIR",
        help="A model's name (classify-worker models list), or the directory of an inference "
        "model; PP-LCNet_x1_0 by default.",
        show_default=False,
        rich_help_panel=MODEL_GROUP,
    ),
]

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help=f"{DEVICE_FORMS}.",
        show_default=False,
        rich_help_panel=MODEL_GROUP,
    ),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        min=1,
        help="Most images of a batch; several batches may be computed at once.",
        show_default=False,
        rich_help_panel=MODEL_GROUP,
    ),
]

UseHpip = Annotated[
    bool | None,
    typer.Option(
        "--use-hpip/--no-use-hpip",
        help="Take the fastest backend that agrees with Paddle.",
        show_default=False,
        rich_help_panel=MODEL_GROUP,
    ),
]

TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        "-k",
        metavar="N",
        min=0,
        help="Most categories per image; 0 is the model's own default.",
        show_default=False,
        rich_help_panel=OUTPUT_GROUP,
    ),
]

Format = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="What standard output gets: table, json (lines) or csv; by default a table on a "
        "terminal, and JSON lines elsewhere.",
        show_default=False,
        rich_help_panel=OUTPUT_GROUP,
    ),
]

OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the results to this .csv or .jsonl file as they come; it is replaced if it "
        "exists.",
        show_default=False,
        rich_help_panel=OUTPUT_GROUP,
    ),
]
