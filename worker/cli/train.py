"""`classify-worker train`: teach a model the classes of one's own pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import INPUT_GROUP, OUTPUT_GROUP, Config, Device, Model

if TYPE_CHECKING:
    from worker.training.options import Options

__all__ = ["train"]

TRAINING_GROUP = "Training"


def train(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="The labelled pictures: a folder for each class, or another layout of "
            "docs/datasets.md.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    model: Model = None,
    save_dir: Annotated[
        Path | None,
        typer.Option(
            "--save-dir",
            metavar="OUT",
            help="Where everything is written: the model in OUT/best_model/inference, results, a "
            "log and a curve.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What results, logs and metrics call the model; by default what they call the one "
            "that it is made from. PaddleX loads its own names alone.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100_000,
            help="Passes over the pictures: of the head 100, with --unfreeze of the network 10.",
            show_default=False,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=65_536,
            help="Pictures of a step: 64 for the head, with --unfreeze 16 for the network.",
            show_default=False,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            min=1e-12,
            max=10.0,
            help="The highest rate: 0.001 for the head, with --unfreeze 0.00002 for the network.",
            show_default=False,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    unfreeze: Annotated[
        bool | None,
        typer.Option(
            "--unfreeze/--no-unfreeze",
            help="Train the whole network after its head: better with many pictures, and slow "
            "without a GPU.",
            show_default=False,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=2**31 - 1,
            help="Of everything that is drawn by lot; the same seed gives the same model. 0 by "
            "default.",
            show_default=False,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the training in OUT, with the options that it was begun with.",
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = False,
    device: Device = None,
    config: Config = None,
) -> None:
    """Teach a model the classes of your own pictures.

    The model's last layer is replaced by one for your classes, which are those of the data. Ctrl-C
    saves what has been done, and --resume goes on from there. A picture that cannot be read is
    left out and named.

    Examples:
        classify-worker train --data photos --model PP-LCNet_x1_0 --save-dir out
        classify-worker predict --model out cat.jpg
        classify-worker train --save-dir out --resume

    PaddleX's names are understood: --save_path, --batch_size, --learning_rate.
    """
    if save_dir is None:
        raise typer.BadParameter("name a directory for the results", param_hint="--save-dir")
    if data is None and not resume:
        raise typer.BadParameter("name the labelled pictures", param_hint="--data")
    if name is not None:
        _check_name(name)
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.interrupts import watch_for_stop  # noqa: PLC0415
    from worker.cli.train_report import TrainReport  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415
    from worker.training.options import Options, read_options  # noqa: PLC0415
    from worker.training.run import train as run_training  # noqa: PLC0415

    watch = cache(watch_for_stop)

    def stop_signal() -> int:
        """Its number, or 0; heard from the first call on: before, Ctrl-C has nothing to save."""
        return watch()()

    settings = load(config, ()).settings
    configure(LogSettings(level="warning", format="console"))
    # Whole paths, so that it can be resumed from any directory.
    if model is not None and (directory := Path(model).expanduser()).is_dir():
        model = str(directory.absolute())
    given: dict[str, Any] = {
        "data": None if data is None else str(Path(data).expanduser().absolute()),
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "unfreeze": unfreeze,
        "device": device,
        "seed": seed,
        "name": name,
    }
    given = {name: value for name, value in given.items() if value is not None}
    options: Options
    if resume:
        options = read_options(save_dir, given)
    else:
        options = Options(**{"model": str(settings.model_dir or settings.model), **given})
    with TrainReport() as report:
        result = run_training(
            options,
            save_dir,
            resume=resume,
            settings=settings,
            reporter=report,
            stopping=lambda: bool(stop_signal()),
            announce=lambda model: report.downloading(model.name),
        )
    if result is None:
        typer.echo(
            f"classify-worker: stopped; go on with classify-worker train --save-dir {save_dir} "
            "--resume",
            err=True,
        )
        raise typer.Exit(128 + stop_signal())
    report.summarise(result, save_dir)


def _check_name(name: str) -> None:
    from worker.model.labels import objection_to  # noqa: PLC0415 - as above

    objection = "is empty" if not name.strip() else objection_to(name)
    if objection is not None:
        raise typer.BadParameter(f"the name {objection}: give another one", param_hint="--name")
