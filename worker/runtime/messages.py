"""Messages between the worker and the processes that it starts: JSON objects over a socket.

A process that reads what strangers sent may be taken over by it, and then says what it likes. So
nothing that it says can be code, as pickles are: its owner reads numbers and texts, within bounds
of size and time, and checks each.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, Never, Self

__all__ = ["MAX_BYTES", "BadMessageError", "Channel", "integer_in", "number_in", "text_in"]

MAX_BYTES = 1 << 18
"""Size of the largest message; pixels and scores cross in shared memory."""

_LENGTH = struct.Struct("!I")


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
        # ASCII alone: a path may hold bytes that are no UTF-8, which JSON writes as escapes.
        text = json.dumps(message, allow_nan=False).encode("ascii")
        if len(text) > MAX_BYTES:
            raise ValueError(f"a message of {len(text)} bytes, and {MAX_BYTES} are allowed")
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(_LENGTH.pack(len(text)) + text)
        except ConnectionError as error:
            raise EOFError("the other process has closed its socket") from error

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
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if length > MAX_BYTES:
            raise BadMessageError(f"a message of {length} bytes, and {MAX_BYTES} are allowed")
        return _parsed(self._read(length, deadline))

    def _read(self, count: int, deadline: float | None) -> bytes:
        read = bytearray()
        while len(read) < count:
            # Never 0, which would mean not to wait at all, and be another error.
            left = None if deadline is None else max(1e-6, deadline - time.monotonic())
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(count - len(read))
            except ConnectionError as error:
                raise EOFError("the other process has closed its socket") from error
            if not piece:
                raise EOFError("the other process has closed its socket")
            read += piece
        return bytes(read)


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


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        message = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadMessageError("what it sent is not JSON") from error
    if not isinstance(message, dict):
        raise BadMessageError("what it sent is not a JSON object")
    return message


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no number")
