"""Virtual environments, one a peer: their packages never meet the worker's."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from worker.runtime.child_environment import child_environment

__all__ = ["PEERS", "REQUIREMENTS", "UnsupportedPythonError", "prepare_environment"]

REQUIREMENTS = Path(__file__).parent / "requirements"
"""A hashed lock file for each peer, `NAME.txt`, made by `make lock` from `NAME.in`."""

PEERS = ("consumer", "faststream", "paddlex")

NEWEST = {"paddlex": (3, 12)}
"""The newest Python for which all packages of a peer have wheels, where it is not the worker's:
PaddleX wants pycocotools up to 2.0.8."""

TIMEOUT = 1800.0


class UnsupportedPythonError(Exception):
    """A peer's packages do not exist for this Python."""


def prepare_environment(name: str, cache: Path) -> Path:
    """Make a peer's environment, or find the one that an earlier run made.

    pip asks whatever index the user has configured for it.

    Args:
        name: one of `PEERS`.
        cache: environments are kept in `peers/` below it.

    Returns:
        Its Python.

    Raises:
        UnsupportedPythonError: it has no packages for this Python.
        subprocess.CalledProcessError: a package cannot be installed.
    """
    newest = NEWEST.get(name)
    if newest is not None and sys.version_info[:2] > newest:
        raise UnsupportedPythonError(
            f"the packages of {name} are made for Python up to {newest[0]}.{newest[1]}: make .venv "
            "with PYTHON=python3.12, or choose --ways kafka"
        )
    lock = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    directory = cache / "peers" / name
    python, made = directory / "bin" / "python", directory / ".made-from"
    if made.is_file() and made.read_text("ascii") == digest:
        return python
    shutil.rmtree(directory, ignore_errors=True)
    arguments = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    for command in (
        [sys.executable, "-m", "venv", str(directory)],
        [
            *(str(python), "-m", "pip", "install", *arguments),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(lock)),
        ],
    ):
        subprocess.run(command, env=child_environment(), check=True, timeout=TIMEOUT)
    # Last: an environment that is half made has no such file.
    made.write_text(digest, "ascii")
    return python
