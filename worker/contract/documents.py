"""JSON documents that cost little but their size to read, whoever wrote them.

A parser makes ten million objects of thirty megabytes of brackets, and one character beyond ASCII
makes four bytes of each of the text's others. So all of a document but the text of its image is
bounded, and of that text's length nothing is made but one string of as many bytes.
"""

from __future__ import annotations

import codecs
import secrets

import orjson

from worker.errors import JobError, Reason, Stage

__all__ = ["MAX_BESIDES", "read_document"]

MAX_BESIDES = 128 * 1024
"""Most bytes of a document besides its image's text. A document of twice as many may be anything:
in a longer one, the text of the image alone can reach beyond its first so many bytes."""

_WHOLE = 2 * MAX_BESIDES
_BLANK = b" \t\r\n"
# Nobody can know it who writes a document.
_STAND_IN = f"image {secrets.token_hex(16)}".encode()
# So near its end a document that was cut there may stop making sense: in a literal, an escape.
_TORN = 16

Data = bytes | bytearray


def read_document(value: Data, name: str, remedy: str) -> object:
    """The JSON document in `value`, in which of equal keys the last counts.

    Args:
        name: what messages call the document.
        remedy: what they end on if it is no text.

    Raises:
        JobError: it is not UTF-8, or not JSON, or has more than `MAX_BESIDES` bytes besides the
            text of its field `image`.
    """
    if len(value) <= _WHOLE:
        return _Part(value, name, remedy).read()
    # White space around it is free: some clients pad.
    begin = len(value) - len(value.lstrip(_BLANK)) if value[:1].isspace() else 0
    end = len(value.rstrip(_BLANK)) if value[-1:].isspace() else len(value)
    if end - begin <= _WHOLE:
        return _Part(value[begin:end], name, remedy, begin).read()
    # The text's opening quote is the last one among the first bytes, or it does not begin there.
    opening = value.rfind(b'"', begin, begin + MAX_BESIDES)
    closing = value.find(b'"', opening + 1) if opening >= 0 else -1
    if closing < 0 or (end - begin) - (closing - opening - 1) > MAX_BESIDES:
        _Part(value[begin : begin + _WHOLE], name, remedy, begin, torn=True).read()
        raise _too_large(name)
    rest = value[begin : opening + 1] + _STAND_IN + value[closing:end]
    cut = (opening + 1 - begin, closing - opening - 1 - len(_STAND_IN))
    document = _Part(rest, name, remedy, begin, cut).read()
    if isinstance(document, dict):
        if document.get("image") != _STAND_IN.decode():
            raise _too_large(name)
        document["image"] = _text(value, opening, closing, name)
    return document


class _Part:
    """All or the bounded part of a document, which is parsed in one go.

    Args:
        begin: where in the document it begins.
        cut: where in it bytes were left out, and how many.
        torn: whether it stops before the document does.
    """

    def __init__(
        self,
        data: Data,
        name: str,
        remedy: str,
        begin: int = 0,
        cut: tuple[int, int] = (0, 0),
        *,
        torn: bool = False,
    ) -> None:
        self._data = data
        self._name = name
        self._remedy = remedy
        self._begin = begin
        self._cut = cut
        self._torn = torn

    def read(self) -> object:
        """Parse it; None for one that is torn, and right as far as it goes.

        Raises:
            JobError: it is not UTF-8, or not JSON; or what was left out of it is not one text.
        """
        try:
            return orjson.loads(self._data)
        except orjson.JSONDecodeError as error:
            # orjson reports all faults as one error; only a failed job pays for telling them
            # apart.
            _check_memory(error, self._name)
            self._check_utf8()
            if self._cut[1] and error.doc.startswith(_STAND_IN.decode(), error.pos):
                # The quote before the cut ends a text; in so many bytes behind it none begins.
                raise _too_large(self._name) from error
            if self._torn and error.pos >= len(self._data) - _TORN:
                return None
            raise JobError(
                Reason.NOT_JSON, f"the {self._name} is not JSON: {self._located(error)}"
            ) from error

    def _check_utf8(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(self._data, final=not self._torn)
        except UnicodeDecodeError as fault:
            raise JobError(
                Reason.NOT_UTF8,
                f"the {self._name} is not UTF-8 (byte {self._place(fault.start)}); {self._remedy}",
            ) from fault

    def _located(self, error: orjson.JSONDecodeError) -> str:
        place = self._place(error.pos)
        return str(error) if place == error.pos else f"{error.msg}: char {place}"

    def _place(self, at: int) -> int:
        where, left_out = self._cut
        return self._begin + at + (left_out if at > where else 0)


def _text(value: Data, opening: int, closing: int, name: str) -> str:
    """The string between two quotes of `value`, which is too long for anything but ASCII.

    Raises:
        JobError: it is no string, or has other characters.
    """
    ascii_only = value.isascii() or value[opening:closing].isascii()
    if ascii_only and value.find(b"\\", opening, closing) >= 0:
        # Escapes are fine; those of what takes more than a byte are not.
        ascii_only = value.count(b"\\u", opening, closing) == value.count(
            b"\\u00", opening, closing
        )
    if not ascii_only:
        raise JobError(
            Reason.BAD_BASE64,
            "the field 'image' has characters beyond ASCII, which belong neither in Base64 nor in "
            "a data: URI; send Base64 of the whole file",
        )
    try:
        text: str = orjson.loads(memoryview(value)[opening : closing + 1])
    except orjson.JSONDecodeError as error:
        _check_memory(error, name)
        raise JobError(
            Reason.NOT_JSON, f"the {name} is not JSON: {error.msg}: char {opening + error.pos}"
        ) from error
    return text


def _check_memory(error: orjson.JSONDecodeError, name: str) -> None:
    """Tell a shortage of memory from a fault of the document.

    Raises:
        JobError: `UNAVAILABLE`; the worker is at fault.
    """
    if "Not enough memory" in str(error):
        raise JobError(
            Reason.UNAVAILABLE,
            f"the worker has no memory left for the {name}; try again later",
            transient=True,
            stage=Stage.PARSE,
        ) from error


def _too_large(name: str) -> JobError:
    return JobError(
        Reason.TOO_LARGE,
        f"the {name} has more than {MAX_BESIDES} bytes besides the text of its field 'image'; "
        "send the fields of a job and nothing else",
        stage=Stage.PARSE,
    )
