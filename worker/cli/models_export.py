"""`classify-worker models export`: a model as a bundle for other devices."""

from __future__ import annotations

import enum
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.options import Config, Overrides
from worker.cli.sizes import size_in_words

if TYPE_CHECKING:
    from worker.edge.export import Exported
    from worker.zoo.catalogue import ZooModel
    from worker.zoo.download import Progress

__all__ = ["export_model", "report"]


class Format(enum.StrEnum):
    """What a network is converted to."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    NCNN = "ncnn"


def export_model(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="A published model, or the directory of an inference model.",
            show_default=False,
        ),
    ],
    chosen: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            metavar="|".join(Format),
            help="onnx: most devices, and browsers. openvino: Intel's processors and GPUs. ncnn: "
            "phones and small boards with ARM.",
            show_default=False,
        ),
    ],
    save_dir: Annotated[
        Path,
        typer.Option(
            "--save-dir",
            metavar="OUT",
            help="The directory to make; --save_path, as PaddleX has it, is the same.",
            show_default=False,
        ),
    ],
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Whole numbers of 8 bits: a quarter of the size, faster, less exact. It needs "
            "--calibration.",
        ),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="DATA",
            help="For --int8: a data set, as `dataset check` takes it. Its images to train with "
            "set the ranges; the accuracy before and after is measured on the others.",
            show_default=False,
        ),
    ] = None,
    float32: Annotated[
        bool,
        typer.Option(
            "--float32",
            help="For openvino and ncnn: weights in 32 bits, twice the size, where 16 bits change "
            "the answers.",
        ),
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web/--no-web", help="For onnx: the page that classifies in a browser."),
    ] = True,
    web_archive: Annotated[
        Path | None,
        typer.Option(
            "--onnxruntime-web",
            metavar="FILE",
            help="For the page: its library as `npm pack` makes it; else npm fetches it, once.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Make a bundle for other devices: the network, a program that runs it, images to check it.

    Before it appears it is run on its check images: if it does not answer as the model does,
    nothing is written and the exit code is 1. docs/edge.md says which format suits which device.

    Examples:
        classify-worker models export PP-LCNet_x1_0 --format onnx --save-dir out/onnx
        classify-worker models export out/best_model --format ncnn --save-dir out/ncnn
        classify-worker models export my/ --format onnx --int8 --calibration photos/ --save-dir o8
    """
    if int8 and float32:
        raise typer.BadParameter("keep one of --int8 and --float32", param_hint="--int8")
    if int8 != (calibration is not None):
        raise typer.BadParameter(
            "--int8 needs --calibration DATA, and --calibration needs --int8", param_hint="--int8"
        )
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cache import models_directory  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.cli.transfer import Transfer  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.model import load_model_spec  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415
    from worker.zoo.resolve import resolve_model  # noqa: PLC0415

    settings = load(config, overrides or ()).settings
    configure(LogSettings(level="warning", format="console"))
    with ExitStack() as shown, Status(f"finding {model}") as status:
        from worker.edge.export import Order, export  # noqa: PLC0415

        def announce(pulled: ZooModel) -> Progress:
            status.end()  # its line and the progress bar's would overwrite each other
            return shown.enter_context(Transfer(1)).of(pulled.name)

        cache = settings.model_cache or models_directory()
        spec = load_model_spec(resolve_model(model, cache, settings.zoo, announce))
        order = Order(
            chosen.value,
            save_dir,
            calibration=calibration,
            half=not float32,
            page=web,
            web_archive=web_archive,
        )
        exported = export(spec, order, settings.decode, status.say)
    report(exported)


def report(exported: Exported) -> None:
    """Say what was made: on standard error the images that were not used."""
    from worker.cli.rows import printable, printable_lines  # noqa: PLC0415 - as above

    # Names of files and classes are whatever their makers chose.
    for line in exported.skipped:
        typer.echo(printable(f"classify-worker: not used: {line}"), err=True)
    typer.echo(printable_lines(exported.checked))
    if (accuracy := exported.accuracy) is not None:
        typer.echo(
            f"accuracy on {accuracy.images} held-out images: {accuracy.before:.4f} before, "
            f"{accuracy.after:.4f} after"
        )
    typer.echo(
        f"{exported.directory}: {size_in_words(exported.nbytes)} of network, from "
        f"{size_in_words(exported.source_bytes)}"
    )
