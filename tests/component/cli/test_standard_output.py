"""Standard output that cannot be written: a line that says why, or nothing, and an exit code.

And what standard error never gets.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BOUND = 120.0

COMMANDS = {
    "--version": ["--version"],
    "--help": ["--help"],
    "config": ["config"],
    "config --json": ["config", "--json"],
    "a pipeline's file": ["config", "image_classification"],
    "models list": ["models", "list"],
    "models list --json": ["models", "list", "--json"],
    "models show": ["models", "show", "PP-LCNet_x1_0"],
}


def run(arguments: list[str], stdout: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=BOUND,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_on_a_full_disk_the_command_says_so(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(arguments, full.fileno())
    said = b"classify-worker: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_reader_that_has_gone_is_no_news(arguments: list[str]) -> None:
    source, sink = os.pipe()
    os.close(source)
    try:
        done = run(arguments, sink)
    finally:
        os.close(sink)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_name_in_an_error_controls_no_terminal() -> None:
    done = run(["config", "--config", "no\x1b[31m\r\u202e such"], subprocess.DEVNULL)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert all(map(str.isprintable, lines))
    assert "no\N{REPLACEMENT CHARACTER}[31m" in lines[1]
