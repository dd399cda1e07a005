"""`classify-worker config`: which settings are in force, and why; or a pipeline's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import Config, Overrides

__all__ = ["config"]


def config(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Print this pipeline's configuration file instead: image_classification.",
            show_default=False,
        ),
    ] = None,
    save_dir: Annotated[
        Path | None,
        typer.Option(
            "--save-dir",
            metavar="DIR",
            help="Save the pipeline's configuration file here.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Print the effective settings and where each comes from; secrets are not shown.

    With the name of a pipeline, print or save the configuration file for `predict`.

    Examples:
        classify-worker config --config configs/worker.yaml
        classify-worker config image_classification --save-dir .
    """
    if pipeline is not None:
        _give_template(pipeline, save_dir)
        return
    if save_dir is not None:
        raise typer.BadParameter(
            "name a pipeline to save: config image_classification --save-dir ."
        )
    # Here, so that `--help` and other commands do not pay for loading them.
    from rich.console import Console  # noqa: PLC0415

    from worker.settings.show import print_settings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    print_settings(load(config, overrides or ()), as_json=as_json, console=Console())


def _give_template(pipeline: str, save_dir: Path | None) -> None:
    from worker.predict.template import TEMPLATE, check_name, write_template  # noqa: PLC0415

    if save_dir is None:
        check_name(pipeline)
        typer.echo(TEMPLATE, nl=False)
    else:
        typer.echo(f"saved {write_template(pipeline, save_dir)}", err=True)
