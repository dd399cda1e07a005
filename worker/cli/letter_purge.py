"""`classify-worker dead-letters purge`: how far it goes, its question, and what it says."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli import letter_options as options
from worker.cli.interrupts import end_at_once
from worker.cli.letter_options import LetterFormat
from worker.cli.letter_work import finish
from worker.cli.options import Config, Overrides

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.cli.letter_report import LetterReport
    from worker.dead_letters.filters import Place
    from worker.dead_letters.memory import Replayed
    from worker.kafka.letter_topic import LetterTopic

__all__ = ["confirm", "plan", "purge", "tell"]


def purge(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="Delete what was written before that time: 30d (ago; s, m, h, d, w), 2026-11-26 "
            "or 2026-11-26T10:30 (UTC).",
            show_default=False,
        ),
    ] = None,
    to_offset: Annotated[
        int | None,
        typer.Option(
            "--to-offset",
            metavar="N",
            min=0,
            help="Delete what is before this offset; with several partitions, name one.",
            show_default=False,
        ),
    ] = None,
    replayed: Annotated[
        bool,
        typer.Option(
            "--replayed",
            help="Delete up to the first letter whose record can be replayed and was not.",
        ),
    ] = False,
    partition: options.Partitions = None,
    dry_run: options.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[list[str] | None, typer.Option("--reason", hidden=True)] = None,
    stage: Annotated[list[str] | None, typer.Option("--stage", hidden=True)] = None,
    since: Annotated[str | None, typer.Option("--since", hidden=True)] = None,
    key: Annotated[list[str] | None, typer.Option("--key", hidden=True)] = None,
    job_id: Annotated[list[str] | None, typer.Option("--job-id", hidden=True)] = None,
    model: Annotated[list[str] | None, typer.Option("--model", hidden=True)] = None,
    source_topic: Annotated[list[str] | None, typer.Option("--source-topic", hidden=True)] = None,
    offset: Annotated[str | None, typer.Option("--offset", hidden=True)] = None,
    output: options.Output = None,
    as_json: options.AsJson = False,
    topic: options.Topic = None,
    group: options.Group = None,
    bootstrap_servers: options.Bootstrap = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Delete dead letters from the beginning of each partition, up to a time or an offset.

    Kafka can delete nothing else: single letters cannot be chosen, so filters such as --reason are
    refused. Whatever stays ends with the topic's retention.

    Examples:
        classify-worker dead-letters purge --until 30d --dry-run
        classify-worker dead-letters purge --replayed --yes
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.letter_report import LetterReport  # noqa: PLC0415

    given = {
        "--reason": reason,
        "--stage": stage,
        "--since": since,
        "--key": key,
        "--job-id": job_id,
        "--model": model,
        "--source-topic": source_topic,
        "--offset": offset,
    }
    if filters := [name for name, value in given.items() if value]:
        raise typer.BadParameter(
            f"{', '.join(filters)}: Kafka deletes only from the beginning of a partition, not "
            "single letters. Replay those that should not be lost, then purge --until a time or "
            "--replayed; or leave the letters to the topic's retention.ms"
        )
    if [until is not None, to_offset is not None, replayed].count(True) != 1:
        raise typer.BadParameter("say how far: one of --until TIME, --to-offset N and --replayed")
    place = options.letter_filter(partitions=partition, until=until).place
    settings = options.letter_settings(
        config, overrides, topic=topic, bootstrap_servers=bootstrap_servers
    )
    group = options.replay_group(settings, group)

    async def run(report: LetterReport) -> None:
        from worker.dead_letters.replay import read_memory  # noqa: PLC0415
        from worker.kafka.letter_topic import LetterTopic  # noqa: PLC0415

        async with LetterTopic(settings.kafka) as letters:
            memory = await read_memory(letters, group) if replayed else None
            before = await plan(letters, place, to_offset, memory)
            if not dry_run and before:
                confirm(report, settings.kafka.dead_letters_topic, letters.bounds, before, yes=yes)
                await letters.delete(before)
            tell(report, settings.kafka.dead_letters_topic, letters.bounds, before, dry_run=dry_run)

    with LetterReport(output, as_json=as_json) as report:
        finish(run(report))


async def plan(
    letters: LetterTopic,
    place: Place,
    to_offset: int | None,
    memory: Mapping[int, Replayed] | None,
) -> dict[int, int]:
    """Find how far each partition is purged.

    Args:
        place: the partitions, and the time if that is what counts.
        to_offset: the first offset that stays, if that is what counts.
        memory: what was replayed, if that is what counts.

    Returns:
        The first offset that stays, of each partition that loses anything.

    Raises:
        typer.BadParameter: an offset is given for several partitions.
        SettingsError: a partition does not exist.
        KafkaSetupError: the brokers do not answer.
    """
    bounds = letters.bounds
    letters.check_partitions(place.partitions)
    partitions = sorted(place.partitions or bounds)
    if place.until_ms is not None:
        stays = await letters.offsets_at(place.until_ms)
    elif to_offset is not None:
        if len(partitions) > 1:
            raise typer.BadParameter(
                "offsets count within one partition: name it with --partition", param_hint="offset"
            )
        stays = dict.fromkeys(partitions, to_offset)
    else:
        stays = {
            number: replayed.position(bounds[number][0])
            for number, replayed in (memory or {}).items()
        }
    # No further than the end that was seen: what came later is not meant.
    before = {number: min(stays.get(number, 0), bounds[number][1]) for number in partitions}
    return {number: offset for number, offset in before.items() if offset > bounds[number][0]}


def confirm(
    report: LetterReport,
    topic: str,
    bounds: Mapping[int, tuple[int, int]],
    before: Mapping[int, int],
    *,
    yes: bool,
) -> None:
    """Ask whether the letters may be deleted.

    Raises:
        typer.BadParameter: nobody can be asked.
        typer.Exit: they may not.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask at: say --yes, or --dry-run first")
    count = _letters(bounds, before)
    answer = _ask(f"Delete up to {count} from {topic} for good? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        report.note("nothing was deleted")
        raise typer.Exit(1)


def tell(
    report: LetterReport,
    topic: str,
    bounds: Mapping[int, tuple[int, int]],
    before: Mapping[int, int],
    *,
    dry_run: bool,
) -> None:
    """Say what was deleted, partition by partition, or would be."""
    would = "would be deleted" if dry_run else "deleted"
    for number, offset in before.items():
        begin = bounds[number][0]
        if report.form is LetterFormat.JSON:
            report.write_json(
                {
                    "topic": topic,
                    "partition": number,
                    "first": begin,
                    "last": offset - 1,
                    "dryRun": dry_run,
                }
            )
        else:
            report.write(f"partition {number}: offsets {begin} to {offset - 1} {would}\n")
    report.note(
        f"up to {_letters(bounds, before)} {would}" if before else "there is nothing to delete"
    )


def _ask(question: str) -> str:
    """Read an answer; Ctrl-C ends the process, which waits here and nowhere else."""
    handler = signal.getsignal(signal.SIGINT)
    # Before the question: who has read it may press Ctrl-C at once, and asyncio's handler would
    # cancel a task that does not run before the line is there.
    end_at_once()
    try:
        typer.echo(question, nl=False, err=True)
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, handler)


def _letters(bounds: Mapping[int, tuple[int, int]], before: Mapping[int, int]) -> str:
    """How many offsets; some may be of no letter."""
    count = sum(offset - bounds[number][0] for number, offset in before.items())
    return "1 dead letter" if count == 1 else f"{count} dead letters"
