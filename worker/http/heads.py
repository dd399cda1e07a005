"""Lines of a request's head that say nothing new: a single-valued header sent twice alike.

cpp-httplib sends Content-Type twice when its caller names it twice, as the reference's documented
client does. aiohttp refuses that, whatever the values. So the second line is taken out before
aiohttp's parser sees it; two values that differ go on to be refused.

Nothing that tells where a body ends is touched: of two readers of such a head, one might believe
the other line.
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
"""Of which aiohttp accepts but one, save for `Content-Length` and `Transfer-Encoding`."""

MAX_KEPT = 8192
"""Bytes of a line that is kept back for its end; the parser refuses longer ones."""


class Head:
    """One request's head, as it arrives.

    Attributes:
        ended: whether its last line was there.
        in_chunks: whether the body that follows tells its own end, if that line came in one piece.
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
        """What of `data` is for the parser, and what follows the head's end."""
        data = self._kept + data
        self._kept = b""
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
            self._within_line = True
        return b"".join(passed), b""

    def _passed(self, line: bytes) -> bytes:
        """A line that has ended, or nothing in its place."""
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
        """The line left out last, if `line` goes on with it: the parser shall see and refuse it."""
        dropped, self._dropped = self._dropped, b""
        return dropped if line[:1] in (b" ", b"\t") else b""

    def _waits(self, rest: bytes) -> bool:
        """Whether a line must have ended before it is passed on: it may be the head's last one."""
        if self._within_line or len(rest) > MAX_KEPT:
            return False
        if rest == b"\r":
            return True
        name = rest.partition(b":")[0].lower()
        return name in FOLDED or (b":" not in rest and any(f.startswith(name) for f in FOLDED))
