"""`classify-worker models`: the published models, what they offer, and pulling them."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.help import Command, Group
from worker.cli.models_export import export_model
from worker.cli.options import EXIT_UNAVAILABLE, Config, Overrides
from worker.cli.sizes import size_in_bytes, size_in_words
from worker.errors import ModelError
from worker.zoo.catalogue import (
    ZooModel,
    addresses,
    catalogue,
    describe_family,
    is_local,
    nearest_names,
    others_here,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.settings import Settings

__all__ = ["models"]

models = typer.Typer(
    name="models",
    help="The published models: list, show and pull them; any model exported to other devices.\n\n"
    "Example:\n"
    "    classify-worker models list --local",
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)

FILE_WIDTH = 120
"""Columns that the widest row has room in."""

NARROWEST = 50
"""Columns below which a row has no room for its numbers: the terminal may break lines then."""

WITH_FAMILY = 80
"""Columns from which there is room for a model's family, which its name mostly tells."""

NUMBERS_WIDTH, FAMILY_WIDTH = 40, 17
"""Columns that numbers and families take, with the gaps before them."""

KEY_WIDTH = 15
"""Columns for the names of facts."""

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


class Order(enum.StrEnum):
    """What a list is sorted by, best first."""

    ACCURACY = "accuracy"
    SPEED = "speed"
    SIZE = "size"


@models.command("list", cls=Command)
def list_models(
    family: Annotated[
        str | None,
        typer.Option(
            metavar="FAMILY", help="Only this family, such as PP-LCNet.", show_default=False
        ),
    ] = None,
    sort: Annotated[
        Order | None,
        typer.Option(
            metavar="|".join(Order), help="Best first (speed: on the GPU); else family by family."
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="SIZE", help="No larger than, such as 60M or 1G."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Only those on this machine.")] = False,
    as_json: AsJson = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """List the published models; those on this machine are marked, and other models there named.

    Times are the publisher's, for one image: on a Tesla T4, and on a Xeon Gold 5117 with 8 threads.

    Example:
        classify-worker models list --sort accuracy
    """
    cache = _cache(_settings(config, overrides or ()))
    chosen = _chosen(family, max_size, sort)
    if local:
        chosen = [model for model in chosen if is_local(model.name, cache)]
    if as_json:
        typer.echo(json.dumps([_plain(model, cache) for model in chosen], indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415 - JSON needs no tables

        console = Console()
        # A file or a pipe has no width to keep to, and `grep` wants names in one piece.
        console.width = max(NARROWEST, console.width) if console.is_terminal else FILE_WIDTH
        for line in _table(chosen, cache, console.width):
            console.out(line, highlight=False)
        everything = family is None and max_size is None
        if everything and (others := others_here(cache)):
            console.out(f"\nNot published, but in {cache}:", highlight=False)
            for name in others:
                console.out(name, highlight=False)


@models.command(cls=Command)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model.", show_default=False)],
    as_json: AsJson = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Show all that is known of one model.

    Example:
        classify-worker models show PP-LCNet_x1_0
    """
    settings = _settings(config, overrides or ())
    facts = _plain(_find(name), _cache(settings))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 - JSON needs no console

    from worker.cli.rows import wrap  # noqa: PLC0415

    console = Console()
    for key, value in facts.items():
        shown = size_in_words(value) if key == "size" else value
        text = "-" if shown is None else str(shown)
        if key == "description" and console.is_terminal:
            indent = " " * KEY_WIDTH
            lines = wrap(text, max(NARROWEST, console.width), indent, indent)
            text = "\n".join(lines).removeprefix(indent)
        typer.echo(f"{key:<{KEY_WIDTH}}{text}")


@models.command("pull", cls=Command)
def pull_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All 80: 11 GB.")] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url",
            metavar="URL|DIR",
            help="Where the archives are, instead of zoo.base_url.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Download models into the cache, verified; a broken download goes on where it ended.

    One that cannot be had does not keep the others from coming, and costs the exit code.

    Example:
        classify-worker models pull PP-LCNet_x1_0 ResNet50
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.transfer import Transfer  # noqa: PLC0415
    from worker.zoo.pull import pull  # noqa: PLC0415

    if every == bool(names):
        raise typer.BadParameter("name the models to pull, or say --all")
    wanted = [_find(name) for name in dict.fromkeys(names or catalogue())]
    given = list(overrides or ())
    if base_url is not None:
        given.append(f"zoo.base_url={base_url}")
    settings = _settings(config, given)
    failed = 0
    with Transfer(len(wanted)) as transfer:
        for model in wanted:
            try:
                pulled = pull(model, _cache(settings), settings.zoo, transfer.of(model.name))
            except ModelError as error:
                failed += 1
                transfer.failed(model.name, error)
            else:
                transfer.done(model.name, pulled)
    if failed:
        raise typer.Exit(EXIT_UNAVAILABLE)


models.command("export", cls=Command)(export_model)


def _settings(config: Path | None, overrides: Sequence[str]) -> Settings:
    from worker.settings.sources import load  # noqa: PLC0415 - `--help` needs no settings

    return load(config, overrides).settings


def _cache(settings: Settings) -> Path:
    from worker.cache import models_directory  # noqa: PLC0415 - as above

    return settings.model_cache or models_directory()


def _find(name: str) -> ZooModel:
    model = catalogue().get(name)
    if model is None:
        near = nearest_names(name)
        remedy = f"did you mean {' or '.join(near)}?" if near else "see `models list`"
        raise typer.BadParameter(f"there is no model {name!r} in the zoo; {remedy}")
    return model


def _chosen(family: str | None, max_size: str | None, sort: Order | None) -> list[ZooModel]:
    chosen = list(catalogue().values())
    if family is not None:
        families = {model.family.casefold(): model.family for model in chosen}
        if family.casefold() not in families:
            known = ", ".join(families.values())
            raise typer.BadParameter(f"there is no family {family!r}; there are {known}")
        chosen = [model for model in chosen if model.family.casefold() == family.casefold()]
    if max_size is not None:
        limit = size_in_bytes(max_size)
        chosen = [model for model in chosen if model.size <= limit]
    match sort:
        case Order.ACCURACY:
            chosen.sort(key=lambda model: -model.top1)
        case Order.SPEED:
            chosen.sort(key=lambda model: model.gpu_ms)
        case Order.SIZE:
            chosen.sort(key=lambda model: model.size)
        case None:
            return chosen
    return chosen


def _table(chosen: list[ZooModel], cache: Path, width: int) -> Iterator[str]:
    """Lines of a table; a narrow one leaves the family out, and no name is broken."""
    from worker.cli.rows import Column, Rows  # noqa: PLC0415 - JSON needs no tables

    with_family = width >= WITH_FAMILY
    longest = max((len(model.name) for model in chosen), default=0)
    room = max(width - NUMBERS_WIDTH - (FAMILY_WIDTH if with_family else 0), len("Model"))
    numbers = {"Top-1 %": 7, "GPU ms": 6, "CPU ms": 7, "MiB": 6}
    rows = Rows(
        [
            Column("Model", min(longest, room)),
            *([Column("Family", FAMILY_WIDTH - 2)] if with_family else ()),
            *(Column(heading, cells, right=True) for heading, cells in numbers.items()),
            Column("Here"),
        ],
        width,
    )
    yield from rows.head()
    for model in chosen:
        yield from rows.row(
            [
                model.name,
                *([model.family] if with_family else ()),
                f"{model.top1:.2f}",
                f"{model.gpu_ms:.2f}",
                "-" if model.cpu_ms is None else f"{model.cpu_ms:.2f}",
                f"{model.size / 2**20:.1f}",
                "yes" if is_local(model.name, cache) else "",
            ]
        )


def _plain(model: ZooModel, cache: Path) -> dict[str, Any]:
    resize, here = model.resize, is_local(model.name, cache)
    known = addresses()
    return {
        "name": model.name,
        "family": model.family,
        "description": describe_family(model.family),
        "top1": model.top1,
        "gpu_ms": model.gpu_ms,
        "cpu_ms": model.cpu_ms,
        "size": model.size,
        "resize_short": resize.short,
        "interpolation": f"{resize.backend} {resize.interpolation}",
        "crop": f"{model.crop.width}x{model.crop.height}",
        "archive": known.archives + model.archive,
        "archive_beta2": known.archives_beta2 + model.archive,
        "weights": f"{known.weights}{model.name}_pretrained.pdparams",
        "directory": str(cache / model.name) if here else None,
    }
