"""Programs that are run to their end: what they said, how they ended, and what does not end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from worker.runtime.tools import Ended, run_tool

BOUND = 60.0


def run(program: str, directory: Path, timeout: float = BOUND) -> Ended:
    command = [sys.executable, "-c", program]
    return run_tool(command, environ=os.environ, timeout=timeout, directory=directory)


def test_what_it_says_on_either_stream_is_there_with_its_status(tmp_path: Path) -> None:
    program = (
        "import os, sys; print(sys.stdin.read() + os.getcwd(), flush=True); "
        "sys.stderr.write('wrong\\n'); sys.exit(3)"
    )
    ended = run(program, tmp_path)
    assert ended == Ended(3, f"{tmp_path}\nwrong")
    assert ended.lines == [str(tmp_path), "wrong"]


def test_a_signal_has_a_negative_number_and_no_message(tmp_path: Path) -> None:
    ended = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert ended == Ended(-9, "")
    assert ended.lines == ["no message"]


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"took more than 0\.1 s"):
        run("import signal; signal.pause()", tmp_path, timeout=0.1)
