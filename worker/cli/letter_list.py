"""`classify-worker dead-letters list`."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli import letter_options as options
from worker.cli.letter_work import finish, memory_if_allowed, replayed_field, total
from worker.cli.options import Config, Overrides

if TYPE_CHECKING:
    from worker.cli.letter_report import LetterReport

__all__ = ["list_letters"]


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
            memory = await memory_if_allowed(letters, group)
            ranges = await narrowed(letters, chosen)
            report.begin(total(ranges))
            if limit is not None:
                for found in await find_newest(letters, chosen, ranges, limit, report.advance):
                    report.add(found, replayed_field(memory, found))
                return
            async with aclosing(find_letters(letters, chosen, ranges, report.advance)) as every:
                async for letter in every:
                    report.add(letter, replayed_field(memory, letter))

    with LetterReport(output, as_json=as_json, progress="looked at", raw=raw) as report:
        finish(run(report))
        if not report.shown:
            report.note("there is no such dead letter")
