"""Removes duplicate lines from a request's head: a single-valued header sent twice with one value.

cpp-httplib sends Content-Type twice when its caller sets it twice, as PaddleX's documented C++
client does. aiohttp refuses that even if both values are the same. So the second line is removed
before aiohttp's parser sees it. Two different values are passed on and refused.

Headers that define where the body ends are never removed: a proxy in front may have used the other
line, and would then see another end of the request (request smuggling).
"""

from __future__ import annotations

__all__ = ["Head"]

FOLDED = (
    b"content-type",
    b"user-agent",
    b"host",
    b"etag",
    b"content-location",
    b"content-range",
    b"max-forwards",
    b"server",
)
"""Headers that aiohttp accepts only once, except `Content-Length` and `Transfer-Encoding`."""

LINES = tuple(b"\n" + name + b":" for name in FOLDED)
"""How their lines begin, with the end of the line before."""

MAX_KEPT = 8192
"""Most bytes of an incomplete line that are kept until it ends; the parser refuses longer lines."""


class Head:
    """One request's head, as it arrives.

    Attributes:
        ended: whether its last line has arrived.
        in_chunks: whether a `Transfer-Encoding` header was seen, so that the body marks its own
            end. Only headers whose line arrived in one piece are seen.
    """

    __slots__ = ("_begun", "_dropped", "_kept", "_seen", "_within_line", "ended", "in_chunks")

    def __init__(self) -> None:
        self._seen: dict[bytes, bytes] = {}
        self._begun = False
        self._within_line = False
        self._kept = b""
        self._dropped = b""
        self.ended = False
        self.in_chunks = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes of the connection.

        Returns:
            The bytes that the parser gets, and those that follow the head's end.
        """
        data = self._kept + data
        self._kept = b""
        if not self._begun and (end := _plain_end(data)):
            self.ended = True
            return data[:end], data[end:]
        passed: list[bytes] = []
        begin = 0
        while (end := data.find(b"\n", begin) + 1) > 0:
            line = data[begin:end]
            begin = end
            passed.append(self._passed(line))
            if self.ended:
                return b"".join(passed), data[begin:]
        rest = data[begin:]
        if rest and self._waits(rest):
            self._kept = rest
        elif rest:
            passed.append(self._put_back(rest) + rest)
            self._begun = self._within_line = True
        return b"".join(passed), b""

    def _passed(self, line: bytes) -> bytes:
        """Return what the parser gets for a complete line: the line, or nothing."""
        if self._within_line:
            self._within_line = False
            return line
        if line in (b"\r\n", b"\n"):
            # Empty lines may come before a request.
            self.ended = self._begun
            return line
        self._begun = True
        put_back = self._put_back(line)
        name, colon, value = line.partition(b":")
        name = name.lower()
        self.in_chunks |= name.strip() == b"transfer-encoding"
        if not colon or name not in FOLDED:
            return put_back + line
        value = value.strip()
        if self._seen.get(name) == value:
            self._dropped = line
            return put_back
        self._seen[name] = value
        return put_back + line

    def _put_back(self, line: bytes) -> bytes:
        """Return the line that was removed last if `line` continues it, so that it is refused."""
        dropped, self._dropped = self._dropped, b""
        return dropped if line[:1] in (b" ", b"\t") else b""

    def _waits(self, rest: bytes) -> bool:
        """Whether an incomplete line is kept: it may be a duplicate, or the end of the head."""
        if self._within_line or len(rest) > MAX_KEPT:
            return False
        if rest == b"\r":
            return True
        name = rest.partition(b":")[0].lower()
        return name in FOLDED or (b":" not in rest and any(f.startswith(name) for f in FOLDED))


def _plain_end(data: bytes) -> int:
    """Find where a head ends that is here whole, and in which nothing is removed.

    Returns:
        The offset behind it; 0 if it has to be read line by line.
    """
    end = data.find(b"\n\r\n") + 3
    if end < 3 or data[0] in b"\r\n" or data.find(b"\n\n", 0, end) >= 0:
        return 0
    head = data[:end].lower()
    plain = b"transfer-encoding" not in head and all(head.count(line) < 2 for line in LINES)
    return end if plain else 0
