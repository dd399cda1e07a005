"""A process with which lines are exchanged over its standard input and output."""

from __future__ import annotations

import threading
from typing import IO

from demo.logged_process import LoggedProcess

__all__ = ["TalkingProcess"]

ANSWER = 300.0
"""Seconds until a process that does not answer is ended."""


class TalkingProcess(LoggedProcess):
    """Like `LoggedProcess`, of which it takes the arguments; `talk` has to be set to exchange."""

    def ask(self, line: str) -> str:
        """Write a line, and wait for the line that answers it.

        Raises:
            DemoError: as `hear`.
        """
        assert self._process is not None
        self._stream(self._process.stdin).write(line.encode() + b"\n")
        self._stream(self._process.stdin).flush()
        return self.hear()

    def hear(self) -> str:
        """Wait for a line.

        Raises:
            DemoError: the process ended instead, or was ended after `ANSWER` seconds.
        """
        assert self._process is not None
        too_late = threading.Timer(ANSWER, self._process.kill)
        too_late.start()
        line = self._stream(self._process.stdout).readline()
        too_late.cancel()
        if not line:
            raise self.failed("did not answer")
        return line.decode().strip()

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream
