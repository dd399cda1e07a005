"""`classify-worker dead-letters show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli import letter_options as options
from worker.cli.letter_work import finish, memory_if_allowed, replayed_field, total
from worker.cli.options import Config, Overrides

if TYPE_CHECKING:
    from worker.cli.letter_report import LetterReport
    from worker.dead_letters.search import Found

__all__ = ["show"]


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
            report.begin(total(letters.bounds))
            own_topic = settings.kafka.dead_letters_topic
            one = await find_letter(letters, own_topic, letter, report.advance)
            if one is not None:
                found.append(one)
                memory = await memory_if_allowed(letters, group)
                replayed.update(replayed_field(memory, one.letter))

    with LetterReport(output, as_json=as_json, progress="looked at", raw=raw) as report:
        finish(run(report))
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
