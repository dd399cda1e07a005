"""`classify-worker dead-letters replay`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli import letter_options as options
from worker.cli.letter_work import finish, total
from worker.cli.options import EXIT_FAILED, Config, Overrides

if TYPE_CHECKING:
    from worker.cli.letter_report import LetterReport

__all__ = ["replay"]


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
        from worker.kafka.destinations import Destinations  # noqa: PLC0415
        from worker.kafka.letter_topic import LetterTopic  # noqa: PLC0415
        from worker.kafka.replay_client import ReplayClient  # noqa: PLC0415

        async with AsyncExitStack() as opened:
            letters = await opened.enter_async_context(LetterTopic(settings.kafka))
            topics = await opened.enter_async_context(Destinations(settings.kafka))
            client = None
            if not dry_run:
                # Before the memory is read: what an earlier replay left open is settled by this.
                client = await opened.enter_async_context(
                    ReplayClient(settings.kafka, settings.publish, group, transactional=transaction)
                )
            memory = await read_memory(letters, group)
            ranges = await narrowed(letters, chosen)
            report.begin(total(ranges))
            one = Replay(
                letters,
                topics,
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
            finish(run(report))
        finally:
            for one in replays:
                report.sum_up(one.counts, most=max_attempts, dry_run=dry_run)
    if any(one.counts["failed"] for one in replays):
        raise typer.Exit(EXIT_FAILED)
