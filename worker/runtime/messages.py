"""Messages between the worker and the processes that it starts: JSON objects over a socket.

A process that reads what strangers sent may be taken over by it, and then says what it likes. So
nothing that it says can be code, as pickles are: its owner reads numbers and texts, within bounds
of size and time, and checks each.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, Never, Self

import orjson

__all__ = ["MAX_BYTES", "BadMessageError", "Channel", "integer_in", "number_in", "text_in"]

MAX_BYTES = 1 << 18
"""Size of the largest message; pixels and scores cross in shared memory."""

_LENGTH = struct.Struct("!I")
_NULL = b"null"
_PIECE = 64 * 1024


class BadMessageError(Exception):
    """The other process sent what is no message, or one without what belongs in it."""


class Channel:
    """One end of a pair of stream sockets; used by one thread at a time.

    After any error the channel is of no more use: what comes next may be the rest of a message.

    Args:
        end: a socket, or the descriptor of one, which the channel takes over.
    """

    def __init__(self, end: socket.socket | int) -> None:
        self._socket = socket.socket(fileno=end) if isinstance(end, int) else end
        # Set, not asked for: a descriptor does not block if the program that made it has a default
        # time-out, and Python does not look.
        self._socket.settimeout(None)
        self._timeout: float | None = None
        self._held = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        """Close it with its last reference, as its owner may be let go of without a word."""
        self.close()

    def fileno(self) -> int:
        """Give the descriptor, for selectors.

        Returns:
            The descriptor, or -1 once the channel is closed.
        """
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end; the other one then reads the end of the stream."""
        self._socket.close()

    def send(self, message: Mapping[str, object], timeout: float | None = None) -> None:
        """Send a message of what JSON has: texts, numbers, booleans, None, lists, objects.

        Args:
            timeout: seconds that it may take while the other side does not read; None for no limit.

        Raises:
            EOFError: the other side has closed its end, or is gone.
            TimeoutError: it has not read in time.
            ValueError: the message is larger than `MAX_BYTES`, or has a number that is not finite.
        """
        framed = _framed(message)
        self._set_timeout(timeout)
        try:
            self._socket.sendall(framed)
        except ConnectionError as error:
            raise EOFError("the other process has closed its socket") from error

    def send_at_once(self, message: Mapping[str, object]) -> bool:
        """Send a message if there is room for it, without waiting.

        Returns:
            Whether it was sent. If not the channel is of no more use, and `send` tells why.

        Raises:
            ValueError: as `send` does.
        """
        framed = _framed(message)
        try:
            # Not MSG_DONTWAIT: before the call Python waits for the socket's own timeout.
            self._set_timeout(0.0)
            return self._socket.send(framed) == len(framed)
        except OSError:
            return False

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the next message.

        Args:
            timeout: seconds until it must be there to its last byte; None for no limit.

        Returns:
            Its fields, of which nothing is checked.

        Raises:
            BadMessageError: it is no JSON object, or larger than `MAX_BYTES`.
            EOFError: the other side has closed its end, or is gone.
            TimeoutError: it is not there in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (end := self._end()) is None:
            # Never 0, which would mean not to wait at all, and be another error.
            self._set_timeout(None if deadline is None else max(1e-6, deadline - time.monotonic()))
            self._take_in()
        text = self._held[_LENGTH.size : end]
        del self._held[:end]
        return _parsed(text)

    def heard(self, timeout: float) -> bool:
        """Wait until the other side has said something, or is gone.

        A selector on `fileno` knows nothing of what came together with an earlier message.

        Returns:
            Whether it has within `timeout` seconds; `receive` then gives it.
        """
        if self.unread:
            return True
        # Not `select`, which knows no descriptor above 1023.
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(1000 * timeout))

    def peek(self) -> dict[str, Any] | None:
        """Look at the next message without waiting for it; `receive` gives it again.

        Returns:
            Its fields; None if it is not there to its last byte, or will be an error.
        """
        try:
            if (end := self._end()) is None:
                self._set_timeout(0.0)
                self._take_in()
                end = self._end()
            return None if end is None else _parsed(self._held[_LENGTH.size : end])
        except (BadMessageError, EOFError, OSError):
            return None

    def drop(self) -> None:
        """Take the message that `peek` has shown, as `receive` would, without reading it again."""
        del self._held[: self._end()]

    @property
    def unread(self) -> bool:
        """Whether the other side has said more than was received, as far as that is here."""
        return bool(self._held)

    def _end(self) -> int | None:
        """Where the next message ends in what is held; None if it is not there to its last byte."""
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if length > MAX_BYTES:
            raise BadMessageError(f"a message of {length} bytes, and {MAX_BYTES} are allowed")
        end: int = _LENGTH.size + length
        return end if len(self._held) >= end else None

    def _take_in(self) -> None:
        try:
            piece = self._socket.recv(_PIECE)
        except ConnectionError as error:
            raise EOFError("the other process has closed its socket") from error
        if not piece:
            raise EOFError("the other process has closed its socket")
        self._held += piece

    def _set_timeout(self, timeout: float | None) -> None:
        # Each time is a call of the system.
        if timeout != self._timeout:
            self._timeout = timeout
            self._socket.settimeout(timeout)


def integer_in(message: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Read a field that must be a whole number.

    Returns:
        The number, from `least` to `most`.

    Raises:
        BadMessageError: there is none, or it is something else.
    """
    value = message.get(name)
    # JSON's true is a bool, which Python takes for 1.
    if type(value) is not int or not least <= value <= most:
        raise BadMessageError(f"its {name} is not a whole number from {least} to {most}")
    return value


def number_in(message: Mapping[str, Any], name: str) -> float:
    """Read a field that must be a number.

    Returns:
        The number, which is finite and not below 0.

    Raises:
        BadMessageError: there is none, or it is something else.
    """
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadMessageError(f"its {name} is not a number")
    if not 0 <= value <= sys.float_info.max:
        raise BadMessageError(f"its {name} is not a finite number from 0 on")
    return float(value)


def text_in(message: Mapping[str, Any], name: str) -> str:
    """Read a field that must be text.

    Returns:
        The text, as long as the message allows.

    Raises:
        BadMessageError: there is none, or it is something else.
    """
    value = message.get(name)
    if not isinstance(value, str):
        raise BadMessageError(f"its {name} is not text")
    return value


def _framed(message: Mapping[str, object]) -> bytes:
    try:
        text = orjson.dumps(message)
    except TypeError:
        text = _NULL
    if _NULL in text:
        # orjson writes it for a number that is not finite, too, and refuses bytes of a path that
        # are no UTF-8, which become escapes here: ASCII alone.
        text = _ENCODER.encode(message).encode("ascii")
    if len(text) > MAX_BYTES:
        raise ValueError(f"a message of {len(text)} bytes, and {MAX_BYTES} are allowed")
    return _LENGTH.pack(len(text)) + text


def _parsed(text: bytearray) -> dict[str, Any]:
    try:
        message = orjson.loads(text)
    except ValueError:
        # Bytes of a path that are no UTF-8, perhaps: escapes that orjson refuses.
        message = _parsed_with_escapes(text)
    if not isinstance(message, dict):
        raise BadMessageError("what it sent is not a JSON object")
    return message


def _parsed_with_escapes(text: bytearray) -> Any:  # noqa: ANN401 - of a message
    try:
        return _DECODER.decode(text.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise BadMessageError("what it sent is not JSON") from error


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no number")


# Made once: what `json.dumps` and `json.loads` make for each message takes longer than a message.
_ENCODER = json.JSONEncoder(allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse)
