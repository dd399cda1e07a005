"""Standard output that takes nothing more is named in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
"""Of Linux: as a file on a full disk."""


@pytest.mark.parametrize("arguments", [["--version"], ["config"], ["models", "list"]])
def test_a_full_disk_is_named(arguments: list[str]) -> None:
    with FULL.open("w") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    said = "classify-worker: standard output cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)
