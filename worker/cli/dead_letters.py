"""`classify-worker dead-letters`: look at records that failed, put them back, delete them."""

from __future__ import annotations

import typer

from worker.cli.help import Command, Group
from worker.cli.letter_list import list_letters
from worker.cli.letter_purge import purge
from worker.cli.letter_replay import replay
from worker.cli.letter_show import show

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

dead_letters.command("list", cls=Command)(list_letters)
for command in (show, replay, purge):
    dead_letters.command(cls=Command)(command)
