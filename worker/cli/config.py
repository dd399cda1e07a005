"""`classify-worker config`: which settings are in force, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from worker.cli.options import Config, Overrides
from worker.configuration import load
from worker.configuration.show import print_settings

__all__ = ["config"]


def config(
    config: Config = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Print the effective settings and where each comes from; secrets are not shown.

    Example: WORKER_KAFKA__GROUP_ID=mine classify-worker config --config configs/worker.yaml
    """
    print_settings(load(config, overrides or ()), as_json=as_json, console=Console())
