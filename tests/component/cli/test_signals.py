"""Signals at any moment of a command: while it loads, while it works, and while it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]

HOLD = """
import sys

sys.__stdout__.write("loading\\n")
sys.__stdout__.flush()
while sys.stdin.readline():
    sys.__stdout__.write("alive\\n")
    sys.__stdout__.flush()
"""

HOLD_AT_THE_END = """
import atexit, sys

def hold():
    sys.__stderr__.write("ending\\n")
    sys.__stderr__.flush()
    sys.stdin.read()

atexit.register(hold)
"""

COMMANDS = {
    "predict": ["predict", "--input", "any.jpg", "--model", "any", "--device", "cpu"],
    "submit": ["submit", "any.jpg"],
    "models list": ["models", "list"],
    "config": ["config"],
    "doctor": ["doctor", "--no-kafka"],
    "--version": ["--version"],
    "--help": ["--help"],
}

BOUND = 60.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command which is held where it imports a module for the first time."""
    with ExitStack() as cleanup:

        def make(
            *command: str, module: str, program: str = HOLD, prefix: tuple[str, ...] = ()
        ) -> subprocess.Popen[bytes]:
            (tmp_path / f"{module}.py").write_text(program, "utf-8")
            process = cleanup.enter_context(
                subprocess.Popen(
                    [*prefix, sys.executable, "-m", "worker", *command],
                    env={**os.environ, "PYTHONPATH": str(tmp_path), "WORKER_MODEL": "any"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            cleanup.callback(process.kill)
            return process

        yield make


def loading(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    assert process.stdout is not None
    assert process.stdout.readline() == b"loading\n"
    return process


def assert_goes_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"alive\n"


def assert_says_nothing(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    assert (process.stdout.read(), process.stderr.read()) == (b"", b"")


@pytest.mark.parametrize("module", ["typer", "aiokafka"])
@pytest.mark.parametrize("command", ["run", "serve"])
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
    ids=["SIGTERM", "SIGINT", "SIGHUP"],
)
def test_a_worker_that_still_loads_its_code_ends_in_order(
    start: Start, number: signal.Signals, command: str, module: str
) -> None:
    process = loading(start(command, module=module))
    process.send_signal(number)
    assert process.wait(BOUND) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_under_nohup_a_hangup_is_ignored(start: Start) -> None:
    process = loading(start("serve", module="typer", prefix=("nohup",)))
    process.send_signal(signal.SIGHUP)
    assert_goes_on(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND) == 0


@pytest.mark.parametrize(
    ("command", "module"),
    [(command, module) for command in COMMANDS for module in ("selectors", "typer")]
    + [(command, "rich") for command in COMMANDS if command[0] != "-"]
    + [("predict", module) for module in ("numpy", "yaml", "aiohttp")]
    + [("submit", module) for module in ("aiokafka", "aiohttp")]
    + [("models list", "pydantic"), ("config", "yaml")],
)
def test_an_interrupt_while_a_command_loads_is_an_exit_code_and_nothing_else(
    start: Start, command: str, module: str
) -> None:
    process = loading(start(*COMMANDS[command], module=module))
    process.send_signal(signal.SIGINT)
    assert process.wait(BOUND) == 130
    assert_says_nothing(process)


@pytest.mark.parametrize("command", ["models list", "config", "--version", "--help"])
def test_an_interrupt_while_the_interpreter_ends_is_none_either(start: Start, command: str) -> None:
    process = start(*COMMANDS[command], module="sitecustomize", program=HOLD_AT_THE_END)
    assert process.stderr is not None
    assert process.stderr.readline() == b"ending\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(BOUND) == 130
    assert process.stderr.read() == b""


def test_an_interrupt_that_is_ignored_stays_ignored(start: Start) -> None:
    # As a script's shell starts what it ends with `&`.
    script = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    process = loading(start("--version", module="typer", prefix=script))
    process.send_signal(signal.SIGINT)
    assert_goes_on(process)


def test_an_interrupt_shows_a_terminals_cursor_again(tmp_path: Path) -> None:
    # A progress bar has hidden it.
    (tmp_path / "typer.py").write_text(HOLD, "utf-8")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"loading" not in shown:
            shown += os.read(ours, 1024)
        process.send_signal(signal.SIGINT)
        while b"\x1b[?25h" not in shown:
            shown += os.read(ours, 1024)
        assert process.wait(BOUND) == 130
    os.close(ours)


def test_other_commands_end_like_any_program(start: Start) -> None:
    process = loading(start("predict", module="typer"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND) == -signal.SIGTERM
    assert_says_nothing(process)
