"""How far a purge goes, the question before it, and what it says afterwards."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import typer

from worker.cli.interrupts import end_at_once
from worker.cli.letter_options import LetterFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.cli.letter_report import LetterReport
    from worker.dead_letters.filters import Place
    from worker.dead_letters.memory import Replayed
    from worker.kafka.letter_topic import LetterTopic

__all__ = ["confirm", "plan", "tell"]


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
        typer.BadParameter: a partition does not exist, or an offset is given for several.
        KafkaSetupError: the brokers do not answer.
    """
    bounds = letters.bounds
    if unknown := sorted(place.partitions - set(bounds)):
        raise typer.BadParameter(
            f"there is no partition {unknown[0]}: there are {len(bounds)}, from 0 on"
        )
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
    typer.echo(f"Delete up to {count} from {topic} for good? [y/N] ", nl=False, err=True)
    if _line().strip().lower() not in ("y", "yes"):
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


def _line() -> str:
    """Read a line; Ctrl-C ends the process, which waits here and nowhere else."""
    handler = signal.getsignal(signal.SIGINT)
    end_at_once()
    try:
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, handler)


def _letters(bounds: Mapping[int, tuple[int, int]], before: Mapping[int, int]) -> str:
    """How many offsets; some may be of no letter."""
    count = sum(offset - bounds[number][0] for number, offset in before.items())
    return "1 dead letter" if count == 1 else f"{count} dead letters"
