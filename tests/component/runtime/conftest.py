"""Programs run in an interpreter of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts programs, which are gone after the test."""
    with ExitStack() as cleanup:

        def make(program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
            given: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} | options
            process: subprocess.Popen[bytes] = cleanup.enter_context(
                subprocess.Popen([sys.executable, "-c", program, *arguments], **given)
            )
            cleanup.callback(process.kill)
            return process

        yield make
