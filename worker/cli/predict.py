"""`classify-worker predict`: classify files, directories and URLs from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import EXIT_FAILED, Format
from worker.device import DEVICE_FORMS

__all__ = ["predict"]


def predict(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|URL|DIR|GLOB",
            help=(
                "What to classify; repeat for more. Directories are searched for images; TIFF and "
                "PDF files are classified page by page."
            ),
        ),
    ],
    pipeline: Annotated[
        str,
        typer.Option(metavar="NAME|FILE.yaml", help="Pipeline; what is given below wins over it."),
    ] = "image_classification",
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="Model's name, or an inference model's directory."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help=f"{DEVICE_FORMS}."),
    ] = None,
    topk: Annotated[
        int | None,
        typer.Option(min=0, help="Categories per image; 0 is the model's own default."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch_size", "--batch-size", min=1, help="Images computed at once, per device."
        ),
    ] = None,
    save_path: Annotated[
        Path | None,
        typer.Option(
            "--save_path",
            "--save-path",
            metavar="DIR",
            help="Save STEM_res.json and a picture STEM_res.EXT of each image here.",
            file_okay=False,
        ),
    ] = None,
    use_hpip: Annotated[
        bool | None,
        typer.Option(
            "--use_hpip/--no_use_hpip",
            "--use-hpip/--no-use-hpip",
            help="Take the fastest backend that agrees with Paddle.",
        ),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Output; by default a table on a terminal, and JSON lines elsewhere.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Classify images; exit code 1 if any could not be used, the others are answered all the same.

    Example: classify-worker predict --input photos/ --topk 3 --save_path output
    """
    # Here, so that `--help` and other commands do not pay for loading Paddle and codecs.
    from worker.cli.predict_report import Report  # noqa: PLC0415
    from worker.cli.transfer import Transfer  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415

    # Native code's complaints, in one form; its chatter is no news.
    configure(LogSettings(level="warning", format="console"))
    from worker.predict import FailedInput, ImageClassificationPipeline  # noqa: PLC0415
    from worker.predict.inputs import find_sources  # noqa: PLC0415
    from worker.predict.pipeline_config import load_config  # noqa: PLC0415
    from worker.predict.saving import Saver  # noqa: PLC0415

    config = load_config(pipeline).overridden(
        "predict",
        device=device,
        use_hpip=use_hpip,
        model=model,
        batch_size=batch_size,
        topk=topk,
    )
    with Transfer(1) as transfer:
        made = ImageClassificationPipeline(config, lambda model: transfer.of(model.name))
    sources = list(find_sources(inputs))
    saver = None if save_path is None else Saver(save_path)
    with made, Report(output, len(sources)) as report:
        for result in made.predict(sources, on_error="yield"):
            report.add(result)
            if saver is not None and not isinstance(result, FailedInput):
                saver.save(result)
    if report.failed:
        raise typer.Exit(EXIT_FAILED)
