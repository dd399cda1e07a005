"""`classify-worker dead-letters`: look at records that failed, put them back, delete them."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli import letter_options as options
from worker.cli.help import Command, Group
from worker.cli.interrupts import run_until_interrupted
from worker.cli.options import EXIT_FAILED, EXIT_INTERRUPTED, Config, Overrides

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from worker.cli.letter_report import LetterReport
    from worker.dead_letters.memory import Replayed
    from worker.dead_letters.search import Found
    from worker.kafka.letter_topic import LetterTopic

__all__ = ["dead_letters"]

dead_letters = typer.Typer(
    name="dead-letters",
    help="The records of failed jobs: list and show them, put them back, delete them.\n\n"
    "Exit codes: 0 done, 1 no such letter, or a record that cannot be put back, 2 wrong usage or "
    "settings, 3 Kafka cannot be used, 130 Ctrl-C.\n\n"
    "Examples:\n"
    "    classify-worker dead-letters list --since 2h\n"
    "    classify-worker dead-letters show 0-12 --save image\n"
    "    classify-worker dead-letters replay --reason fetch_timeout --dry-run\n"
    "    classify-worker dead-letters purge --until 30d",
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)


@dead_letters.command("list", cls=Command)
def list_letters(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    reason: options.Reasons = None,
    stage: options.Stages = None,
    since: options.Since = None,
    until: options.Until = None,
    key: options.Keys = None,
    job_id: options.Jobs = None,
    model: options.Models = None,
    source_topic: options.SourceTopics = None,
    partition: options.Partitions = None,
    offset: options.Offsets = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            metavar="N",
            min=1,
            max=100_000,
            help="Only the newest N, the newest first; else all, each partition from its first.",
            show_default=False,
        ),
    ] = None,
    output: options.Output = None,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    topic: options.Topic = None,
    group: options.Group = None,
    bootstrap_servers: options.Bootstrap = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """List dead letters: why each job failed, and when.

    It ends with the letters that were there when it began. In JSON, replayed says whether the
    record was put back; it is null if this user may not see that.

    Examples:
        classify-worker dead-letters list --limit 20
        classify-worker dead-letters list --reason fetch_timeout --since 2h --json | jq .jobId
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.letter_report import LetterReport  # noqa: PLC0415

    chosen = options.letter_filter(
        reasons=reason,
        stages=stage,
        keys=key,
        jobs=job_id,
        models=model,
        source_topics=source_topic,
        partitions=partition,
        offsets=offset,
        since=since,
        until=until,
    )
    settings = options.letter_settings(
        config, overrides, topic=topic, bootstrap_servers=bootstrap_servers
    )
    group = options.replay_group(settings, group)

    async def run(report: LetterReport) -> None:
        from worker.dead_letters.search import (  # noqa: PLC0415
            find_letters,
            find_newest,
            narrowed,
        )
        from worker.kafka.letter_topic import LetterTopic  # noqa: PLC0415

        async with LetterTopic(settings.kafka) as letters:
            memory = await _memory_if_allowed(letters, group)
            ranges = await narrowed(letters, chosen)
            report.begin(_total(ranges))
            if limit is not None:
                for found in await find_newest(letters, chosen, ranges, limit, report.advance):
                    report.add(found, _replayed(memory, found))
                return
            async with aclosing(find_letters(letters, chosen, ranges, report.advance)) as every:
                async for letter in every:
                    report.add(letter, _replayed(memory, letter))

    with LetterReport(output, as_json=as_json, progress="looked at", raw=raw) as report:
        _finish(run(report))
        if not report.shown:
            report.note("there is no such dead letter")


@dead_letters.command(cls=Command)
def show(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    letter: Annotated[
        str,
        typer.Argument(
            metavar="LETTER",
            help="Its place, as 0-12 (partition and offset) or TOPIC-0-12; or the id of its record "
            "or result; or a jobId, of whose letters the newest is shown.",
            show_default=False,
        ),
    ],
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE|DIR",
            help="Write the image, as its producer sent it, to this file, which must not exist; a "
            "name without a suffix gets that of the format.",
            show_default=False,
            rich_help_panel=options.OUTPUT_GROUP,
        ),
    ] = None,
    output: options.Output = None,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    topic: options.Topic = None,
    group: options.Group = None,
    bootstrap_servers: options.Bootstrap = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Show one dead letter: why the job failed, its headers and image, and what to do about it.

    Looking for a record's or a job's id reads the whole topic; a letter's place is found at once.

    Examples:
        classify-worker dead-letters show 0-12
        classify-worker dead-letters show a-42 --save out/
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.letter_report import LetterReport  # noqa: PLC0415
    from worker.errors import WorkerError  # noqa: PLC0415

    settings = options.letter_settings(
        config, overrides, topic=topic, bootstrap_servers=bootstrap_servers
    )
    group = options.replay_group(settings, group)
    found: list[Found] = []
    replayed: dict[str, Any] = {}

    async def run(report: LetterReport) -> None:
        from worker.dead_letters.search import find_letter  # noqa: PLC0415
        from worker.kafka.letter_topic import LetterTopic  # noqa: PLC0415

        async with LetterTopic(settings.kafka) as letters:
            report.begin(_total(letters.bounds))
            own_topic = settings.kafka.dead_letters_topic
            one = await find_letter(letters, own_topic, letter, report.advance)
            if one is not None:
                found.append(one)
                memory = await _memory_if_allowed(letters, group)
                replayed.update(_replayed(memory, one.letter))

    with LetterReport(output, as_json=as_json, progress="looked at", raw=raw) as report:
        _finish(run(report))
        if not found:
            raise WorkerError(
                f"there is no dead letter {letter} in topic {settings.kafka.dead_letters_topic}: "
                "see dead-letters list"
            )
        _show(report, found[0], replayed, raw=raw)
        if save is not None:
            from worker.dead_letters.image import image_of, save_image  # noqa: PLC0415

            image = image_of(found[0].record)
            saved = save_image(image, save, found[0].letter.id)
            report.note(f"saved {saved}, {len(image)} bytes")


@dead_letters.command(cls=Command)
def replay(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    reason: options.Reasons = None,
    stage: options.Stages = None,
    since: options.Since = None,
    until: options.Until = None,
    key: options.Keys = None,
    job_id: options.Jobs = None,
    model: options.Models = None,
    source_topic: options.SourceTopics = None,
    partition: options.Partitions = None,
    offset: options.Offsets = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            metavar="N",
            min=1,
            help="Put back so many at most; the next replay goes on behind them.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N",
            min=0.01,
            help="Put back so many records a second at most.",
            show_default=False,
        ),
    ] = None,
    max_attempts: Annotated[
        int,
        typer.Option(
            "--max-attempts",
            metavar="N",
            min=1,
            help="Leave a record alone that was put back so often, and failed again.",
        ),
    ] = 5,
    dry_run: options.DryRun = False,
    transaction: Annotated[
        bool,
        typer.Option(
            "--transaction/--no-transaction",
            help="Put records back and remember it in one transaction. Without, after a crash one "
            "record can be put back twice, and it is slower.",
        ),
    ] = True,
    output: options.Output = None,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    topic: options.Topic = None,
    group: options.Group = None,
    bootstrap_servers: options.Bootstrap = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Put the records of dead letters back on the topics that they came from, each only once.

    Key, value and headers are the record's own, the partition too if it still exists; the header
    replay-attempts counts. What was put back is remembered in a consumer group: it is safe to run
    this again, after Ctrl-C or a crash too, with the same filters or others. A record that fails
    again is a new letter.

    Examples:
        classify-worker dead-letters replay --reason fetch_timeout --since 2h --dry-run
        classify-worker dead-letters replay --reason fetch_timeout --since 2h --rate 50
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.letter_report import LetterReport  # noqa: PLC0415
    from worker.dead_letters.replay import (  # noqa: PLC0415
        Replay,
        ReplayOptions,
        read_memory,
    )

    chosen = options.letter_filter(
        reasons=reason,
        stages=stage,
        keys=key,
        jobs=job_id,
        models=model,
        source_topics=source_topic,
        partitions=partition,
        offsets=offset,
        since=since,
        until=until,
    )
    settings = options.letter_settings(
        config, overrides, topic=topic, bootstrap_servers=bootstrap_servers
    )
    group = options.replay_group(settings, group)
    wanted = ReplayOptions(
        chosen,
        max_attempts=max_attempts,
        limit=limit,
        rate=rate,
        one_by_one=not transaction,
    )
    replays: list[Replay] = []

    async def run(report: LetterReport) -> None:
        from contextlib import AsyncExitStack  # noqa: PLC0415

        from worker.dead_letters.search import narrowed  # noqa: PLC0415
        from worker.kafka.letter_topic import LetterTopic  # noqa: PLC0415
        from worker.kafka.replay_client import ReplayClient  # noqa: PLC0415

        async with AsyncExitStack() as opened:
            letters = await opened.enter_async_context(LetterTopic(settings.kafka))
            client = None
            if not dry_run:
                # Before the memory is read: what an earlier replay left open is settled by this.
                client = await opened.enter_async_context(
                    ReplayClient(settings.kafka, settings.publish, group, transactional=transaction)
                )
            memory = await read_memory(letters, group)
            ranges = await narrowed(letters, chosen)
            report.begin(_total(ranges))
            one = Replay(
                letters,
                client,
                wanted,
                memory,
                put_back=lambda letter: report.add(letter, {"dryRun": dry_run}),
                failed=report.failed,
                advanced=report.advance,
            )
            replays.append(one)
            await one.run(ranges)

    with LetterReport(output, as_json=as_json, progress="looked at", raw=raw) as report:
        try:
            _finish(run(report))
        finally:
            for one in replays:
                report.sum_up(one.counts, most=max_attempts, dry_run=dry_run)
    if any(one.counts["failed"] for one in replays):
        raise typer.Exit(EXIT_FAILED)


@dead_letters.command(cls=Command)
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
    from worker.cli.letter_purge import confirm, plan, tell  # noqa: PLC0415
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
        _finish(run(report))


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or until Ctrl-C."""
    if not run_until_interrupted(work):
        raise typer.Exit(EXIT_INTERRUPTED)


def _total(ranges: Mapping[int, tuple[int, int]]) -> int:
    return sum(max(0, end - begin) for begin, end in ranges.values())


async def _memory_if_allowed(letters: LetterTopic, group: str) -> Mapping[int, Replayed] | None:
    """What was replayed; None where this user may not see it, which spoils no list."""
    from worker.dead_letters.replay import read_memory  # noqa: PLC0415
    from worker.errors import KafkaSetupError  # noqa: PLC0415

    try:
        return await read_memory(letters, group)
    except KafkaSetupError:
        return None


def _replayed(memory: Mapping[int, Replayed] | None, letter: Any) -> dict[str, Any]:  # noqa: ANN401
    """The field that says whether a letter was replayed."""
    if memory is None:
        return {"replayed": None}
    known = memory.get(letter.partition)
    return {"replayed": letter.unfit is None and known is not None and letter in known}


def _show(report: LetterReport, found: Found, replayed: dict[str, Any], *, raw: bool) -> None:
    from worker.cli.letter_facts import letter_facts  # noqa: PLC0415
    from worker.cli.letter_report import plain_headers, plain_letter  # noqa: PLC0415
    from worker.dead_letters.advice import advice  # noqa: PLC0415

    letter = found.letter
    headers = plain_headers(found.record, raw=raw)
    if report.form is options.LetterFormat.JSON:
        more = {"headers": headers, "remedy": advice(letter.reason)}
        report.write_json(plain_letter(letter, raw=raw) | replayed | more)
    else:
        report.facts(letter_facts(found.record, letter, headers, replayed["replayed"]))
    if found.others:
        report.note(f"older letters of the same name: {found.others}")
