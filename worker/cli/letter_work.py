"""What the dead-letters commands do alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from worker.cli.interrupts import run_until_interrupted
from worker.cli.options import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from worker.contract.letters import DeadLetter
    from worker.dead_letters.memory import Replayed
    from worker.kafka.letter_topic import LetterTopic

__all__ = ["finish", "memory_if_allowed", "replayed_field", "total"]


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or until Ctrl-C."""
    if not run_until_interrupted(work):
        raise typer.Exit(EXIT_INTERRUPTED)


def total(ranges: Mapping[int, tuple[int, int]]) -> int:
    """How many offsets there are in ranges, given by partition."""
    return sum(max(0, end - begin) for begin, end in ranges.values())


async def memory_if_allowed(letters: LetterTopic, group: str) -> Mapping[int, Replayed] | None:
    """What was replayed; None where this user may not see it, which spoils no list."""
    from worker.dead_letters.replay import read_memory  # noqa: PLC0415
    from worker.errors import KafkaSetupError  # noqa: PLC0415

    try:
        return await read_memory(letters, group)
    except KafkaSetupError:
        return None


def replayed_field(memory: Mapping[int, Replayed] | None, letter: DeadLetter) -> dict[str, Any]:
    """The field that says whether a letter was replayed."""
    if memory is None:
        return {"replayed": None}
    known = memory.get(letter.partition)
    return {"replayed": letter.unfit is None and known is not None and letter in known}
