"""The question of `classify-worker dead-letters purge`."""

import io
import signal

import pytest
import typer

from worker.cli.letter_purge import confirm
from worker.cli.letter_report import LetterReport


class Typed(io.StringIO):
    """What somebody types at a terminal."""

    def isatty(self) -> bool:
        return True


def test_ctrl_c_ends_the_command_from_the_moment_at_which_the_question_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGINT)
    asked: list[tuple[str, object]] = []

    def echo(question: str, **_: object) -> None:
        asked.append((question, signal.getsignal(signal.SIGINT)))

    monkeypatch.setattr(typer, "echo", echo)
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    with LetterReport(None, as_json=True) as report:
        confirm(report, "letters", {0: (2, 9)}, {0: 5}, yes=False)
    ((question, handler),) = asked
    assert question == "Delete up to 3 dead letters from letters for good? [y/N] "
    assert handler is not before
    assert signal.getsignal(signal.SIGINT) is before
