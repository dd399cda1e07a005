"""What native code and children write on their own account, as log records."""

from __future__ import annotations

import logging
import os
import selectors
import threading
from collections.abc import Mapping

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["LineSplitter", "NativeOutput", "RateLimit"]

MAX_LINE = 2000
"""Bytes of a line that are logged; the rest of it is left out."""

BURST = 200
"""Lines that may come at once: a crash of Paddle's says about a hundred."""

RATE = 5.0
"""Lines per second after that. A hostile image must not be able to fill the log."""

_CHUNK = 64 * 1024


class LineSplitter:
    """Makes lines of a stream of bytes, in bounded memory."""

    def __init__(self) -> None:
        self._held = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[str]:
        """Take in a chunk of output.

        Returns:
            The lines that end in it, or are too long to wait for; none is empty.
        """
        *ended, rest = chunk.split(b"\n")
        lines = []
        for part in ended:
            if not self._skipping:
                lines.append(self._held + part)
            self._held, self._skipping = b"", False
        if not self._skipping:
            self._held += rest
            if len(self._held) > MAX_LINE:
                lines.append(self._held)
                self._held, self._skipping = b"", True
        return [text for line in lines if (text := _text(line))]

    def end(self) -> list[str]:
        """Take the end of the output.

        Returns:
            The last line, when it lacks its line end; else nothing.
        """
        return self.feed(b"\n")


class RateLimit:
    """A token bucket: so many lines at once, so many a second from then on."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._tokens, self._filled = float(BURST), clock.monotonic()

    def admit(self) -> bool:
        """Count one more line.

        Returns:
            Whether it may be logged now.
        """
        now = self._clock.monotonic()
        self._tokens = min(BURST, self._tokens + RATE * (now - self._filled))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class NativeOutput:
    """Reads pipes in a thread of its own until all their writers are gone, and closes them.

    Each line becomes a record of the logger `native` (or one below it); what comes too fast or is
    too long is left out, and a record says so.

    Args:
        name: of the logger; a package of its own for `worker.logs`, which takes what it says for
            the words of a library.
        levels: log level by descriptor.
        facts: fields of each record.
    """

    def __init__(
        self, name: str, levels: Mapping[int, int], facts: Mapping[str, object] | None = None
    ) -> None:
        self._log = logging.getLogger(name)
        self._levels = dict(levels)
        self._facts = dict(facts or {})
        self._limit = RateLimit()
        self._left_out = 0
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until all writers are gone and their lines logged, within a bound in seconds."""
        self._thread.join(timeout)

    def _read(self) -> None:
        splitters = {descriptor: LineSplitter() for descriptor in self._levels}
        with selectors.DefaultSelector() as selector:
            for descriptor in self._levels:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    chunk = os.read(key.fd, _CHUNK)
                    splitter = splitters[key.fd]
                    level = self._levels[key.fd]
                    for line in splitter.feed(chunk) if chunk else splitter.end():
                        self._say(level, line)
                    if not chunk:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        self._say_what_was_left_out()

    def _say(self, level: int, line: str) -> None:
        if not self._log.isEnabledFor(level):
            return
        if self._limit.admit():
            self._say_what_was_left_out()
            self._log.log(level, "%s", line, extra=self._facts)
        else:
            self._left_out += 1

    def _say_what_was_left_out(self) -> None:
        if self._left_out:
            self._log.warning("[%d lines left out]", self._left_out, extra=self._facts)
            self._left_out = 0


def _text(line: bytes) -> str:
    """Printable, on one line: escape sequences could rewrite what a terminal shows."""
    cut = line[:MAX_LINE].decode(errors="replace").expandtabs(4).rstrip()
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in cut)
    return f"{shown}…" if len(line) > MAX_LINE else shown
