"""Options of the commands for dead letters. `--help` loads this module and no client."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.errors import Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from worker.dead_letters.filters import Filter
    from worker.settings import Settings

__all__ = [
    "AsJson",
    "Bootstrap",
    "DryRun",
    "Group",
    "Jobs",
    "Keys",
    "LetterFormat",
    "Models",
    "Offsets",
    "Output",
    "Partitions",
    "Raw",
    "Reasons",
    "Since",
    "SourceTopics",
    "Stages",
    "Topic",
    "Until",
    "letter_filter",
    "letter_settings",
    "output_format",
    "replay_group",
]

FILTER_GROUP = "Which letters (all conditions together; repeat one for more values)"
KAFKA_GROUP = "Kafka"
OUTPUT_GROUP = "Output"

MAX_FIELD = 300
"""Most characters of a filter's value: it is remembered with what was replayed."""

REASONS = ", ".join(reason.label for reason in Reason)
STAGES = ", ".join(Stage)


class LetterFormat(enum.StrEnum):
    """How letters are written to standard output."""

    TABLE = "table"
    JSON = "json"


def _filter(*names: str, metavar: str, text: str, **more: Any) -> Any:  # noqa: ANN401
    """One of the options that choose letters."""
    return typer.Option(
        *names,
        metavar=metavar,
        help=text,
        show_default=False,
        rich_help_panel=FILTER_GROUP,
        **more,
    )


Reasons = Annotated[
    list[str] | None,
    _filter("--reason", metavar="REASON", text="Why the job failed, such as fetch_timeout."),
]
Stages = Annotated[
    list[str] | None, _filter("--stage", metavar="STAGE", text=f"Where it failed: {STAGES}.")
]
Since = Annotated[
    str | None,
    _filter(
        "--since",
        metavar="TIME",
        text="Failed at that time or later: 2h (ago; s, m, h, d, w), 2026-11-26 or "
        "2026-11-26T10:30 (UTC).",
    ),
]
Until = Annotated[str | None, _filter("--until", metavar="TIME", text="Failed before that time.")]
Keys = Annotated[list[str] | None, _filter("--key", metavar="KEY", text="The record's key.")]
Jobs = Annotated[
    list[str] | None,
    _filter("--job-id", metavar="ID", text="The job's jobId, or its record's id if it has none."),
]
Models = Annotated[
    list[str] | None, _filter("--model", metavar="NAME", text="The model that the worker ran.")
]
SourceTopics = Annotated[
    list[str] | None,
    _filter("--source-topic", metavar="TOPIC", text="The topic that the record came from."),
]
Partitions = Annotated[
    list[int] | None,
    _filter("--partition", metavar="N", text="Partition of the dead-letter topic.", min=0),
]
Offsets = Annotated[
    str | None,
    _filter("--offset", metavar="N|N-M", text="Offset there, or the first and the last one."),
]

Topic = Annotated[
    str | None,
    typer.Option(
        "--topic",
        metavar="TOPIC",
        help="Dead-letter topic, instead of kafka.dead_letters_topic.",
        show_default=False,
        rich_help_panel=KAFKA_GROUP,
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="GROUP",
        help="Consumer group that remembers what was replayed; kafka.group_id and "
        "-dead-letters by default.",
        show_default=False,
        rich_help_panel=KAFKA_GROUP,
    ),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="Brokers, instead of kafka.bootstrap_servers.",
        show_default=False,
        rich_help_panel=KAFKA_GROUP,
    ),
]
Output = Annotated[
    LetterFormat | None,
    typer.Option(
        "--format",
        "-f",
        metavar="table|json",
        help="What standard output gets; by default a table on a terminal, and JSON lines "
        "elsewhere.",
        show_default=False,
        rich_help_panel=OUTPUT_GROUP,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="The same as --format json.", rich_help_panel=OUTPUT_GROUP)
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Show credentials in headers, and passwords and queries of URLs, as they are.",
        rich_help_panel=OUTPUT_GROUP,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def letter_filter(  # noqa: PLR0913 - one for each option
    *,
    reasons: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    jobs: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    source_topics: Sequence[str] | None = None,
    partitions: Sequence[int] | None = None,
    offsets: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Filter:
    """Make the filter that options describe.

    Returns:
        The filter; one without options means every letter.

    Raises:
        typer.BadParameter: a value cannot be right.
        SettingsError: a time cannot be read.
    """
    from worker.clock import SYSTEM_CLOCK  # noqa: PLC0415 - `--help` needs none of these
    from worker.dead_letters.filters import Conditions, Filter, Place  # noqa: PLC0415
    from worker.dead_letters.times import moment_ms  # noqa: PLC0415

    _check_known("--reason", reasons, [reason.label for reason in Reason])
    _check_known("--stage", stages, list(Stage))
    for value in (*(keys or ()), *(jobs or ()), *(models or ()), *(source_topics or ())):
        if len(value) > MAX_FIELD:
            raise typer.BadParameter(
                f"{value[:40]}... has {len(value)} characters; a filter's value has at most "
                f"{MAX_FIELD}: choose such a letter by --partition and --offset"
            )
    now = SYSTEM_CLOCK.wall()
    return Filter(
        Conditions.of(
            None,
            reason=reasons or (),
            stage=stages or (),
            key=keys or (),
            job=jobs or (),
            model=models or (),
            topic=source_topics or (),
        ),
        Place(
            partitions=frozenset(partitions or ()),
            offsets=None if offsets is None else _offsets(offsets),
            since_ms=None if since is None else moment_ms(since, now, "--since"),
            until_ms=None if until is None else moment_ms(until, now, "--until"),
        ),
    )


def letter_settings(
    config: Path | None,
    overrides: Sequence[str] | None,
    *,
    topic: str | None,
    bootstrap_servers: str | None,
) -> Settings:
    """Load the settings, with what these options say instead; the log gets warnings alone.

    Returns:
        The settings.

    Raises:
        SettingsError: a setting is wrong.
    """
    import logging  # noqa: PLC0415 - `--help` needs none of these

    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    given = {"kafka.dead_letters_topic": topic, "kafka.bootstrap_servers": bootstrap_servers}
    options = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = load(config, [*(overrides or ()), *options]).settings
    configure(LogSettings(level="warning", format="console"))
    # What its log says is in the error that is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return settings


def replay_group(settings: Settings, group: str | None) -> str:
    """Choose the group that remembers what was replayed.

    Returns:
        Its name.

    Raises:
        typer.BadParameter: it is the workers' own group.
    """
    if group == settings.kafka.group_id:
        raise typer.BadParameter(
            f"{group} is the workers' own group (kafka.group_id): name another one",
            param_hint="--group",
        )
    return group or f"{settings.kafka.group_id}-dead-letters"


def output_format(chosen: LetterFormat | None, *, as_json: bool, terminal: bool) -> LetterFormat:
    """Choose what standard output gets.

    Returns:
        The format.

    Raises:
        typer.BadParameter: both options are there and differ.
    """
    if as_json and chosen is LetterFormat.TABLE:
        raise typer.BadParameter("--json is --format json: leave one of the two out")
    if as_json:
        return LetterFormat.JSON
    return chosen or (LetterFormat.TABLE if terminal else LetterFormat.JSON)


def _check_known(option: str, values: Sequence[str] | None, known: Sequence[str]) -> None:
    from difflib import get_close_matches  # noqa: PLC0415 - `--help` needs none

    for value in values or ():
        if value not in known:
            near = get_close_matches(value, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise typer.BadParameter(f"{value!r} is not known; {remedy}", param_hint=option)


def _offsets(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        begin = int(first)
        end = int(last) if dash else begin
    except ValueError:
        begin, end = 0, -1
    if not 0 <= begin <= end:
        raise typer.BadParameter(
            f"{text!r} is no offset: write 120, or 120-140 for the first and the last one",
            param_hint="--offset",
        )
    return begin, end
