"""A lock ends with the process that holds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_a_lock_is_waited_for_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import sys; from pathlib import Path; from worker.cache import exclusive\n"
        "with exclusive(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as waiter:
            with pytest.raises(subprocess.TimeoutExpired):
                waiter.communicate("\n", timeout=1)
            holder.kill()
            assert waiter.communicate(timeout=30)[0] == "held\n"
