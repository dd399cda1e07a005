"""What a fuzz target is: a function that takes any bytes and checks what must hold for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from worker.errors import JobError, Reason

__all__ = ["CORPUS", "TARGETS", "Pieces", "Target", "check_refusal", "check_text", "target"]

CORPUS = ROOT / "tests/fuzz/corpus"
"""A directory of inputs for each target: good ones, odd ones, and those that once found a fault."""

MiB = 2**20


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        check: takes any bytes; raises for what must not happen, AssertionError above all.
        longest: most bytes of an input that is made up.
        most_memory: bytes that Python and numpy may allocate during one check, at most.
        examples: how many inputs a bounded run makes up.
    """

    name: str
    check: Callable[[bytes], None]
    longest: int
    most_memory: int
    examples: int

    @property
    def corpus(self) -> list[Path]:
        """Its inputs in the repository, in a fixed order."""
        return sorted(path for path in (CORPUS / self.name).glob("*") if path.is_file())


TARGETS: dict[str, Target] = {}


def target(
    *, longest: int = 2048, most_memory: int = 8 * MiB, examples: int = 300
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Make a function a target of its name."""

    def register(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
        name = check.__name__
        TARGETS[name] = Target(name, check, longest, most_memory, examples)
        return check

    return register


class Pieces:
    """Takes an input apart, from its beginning; one that is too short goes on with zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken.ljust(count, b"\0")

    def some(self) -> bytes:
        """As many bytes as the next one says, or as are left."""
        count = self.number()
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        return self._data[self._at :]


def check_refusal(error: JobError, *reasons: Reason, longest: int = 500) -> None:
    """A refusal is for one of these reasons, in a sentence that can be sent as it is."""
    assert error.reason in reasons, error
    assert 0 < len(error.message) <= longest
    assert error.attempts == 1


def check_text(error: Exception, longest: int = 500) -> None:
    """An error says something, and not too much."""
    assert 0 < len(str(error)) <= longest
