"""JSON documents from anybody, read without using much more memory than their own size.

Thirty megabytes of brackets become ten million objects, and one character beyond ASCII makes a text
take up to four bytes for each of its characters. So everything in a document is bounded except the
text of its image, and that text becomes one string of one byte a character, and nothing else.
"""

from __future__ import annotations

import codecs
import secrets

import orjson
import pybase64

from worker.errors import JobError, Reason, Stage

__all__ = ["MAX_BESIDES", "read_document", "read_job_document"]

MAX_BESIDES = 128 * 1024
"""Most bytes of a document besides its image's text."""

# A document up to this size is parsed as it is, whatever is in it.
_WHOLE = 2 * MAX_BESIDES
_BLANK = b" \t\r\n"
# Replaces the image's text while the rest is parsed. Random, so that no document contains it.
_PLACEHOLDER = f"image {secrets.token_hex(16)}".encode()
# Bytes of a document from which it pays to look for Base64 in it, and up to which that is done:
# larger ones are not read in the event loop.
_PLAIN = range(8 * 1024, 1024 * 1024)
_NEAR = 4 * 1024  # most bytes before such an image's text, and behind it
# So close to the cut, a document that was cut off may have a syntax error: an incomplete literal or
# escape.
_CUT_MARGIN = 16

Data = bytes | bytearray


def read_document(value: Data, name: str, remedy: str) -> object:
    """Parse the JSON document in `value`. Of equal keys the last one counts.

    Args:
        name: what messages call the document.
        remedy: how the message for a document that is no text ends.

    Returns:
        The value, as `json.loads` returns it.

    Raises:
        JobError: it is not UTF-8, or not JSON, or has more than `MAX_BESIDES` bytes besides the
            text of its field `image`.
    """
    if len(value) <= _WHOLE:
        return _Part(value, name, remedy).read()
    # White space around it does not count: some clients pad.
    begin = len(value) - len(value.lstrip(_BLANK)) if value[:1].isspace() else 0
    end = len(value.rstrip(_BLANK)) if value[-1:].isspace() else len(value)
    if end - begin <= _WHOLE:
        return _Part(value[begin:end], name, remedy, begin).read()
    # The image's text is longer than `MAX_BESIDES`, so the last quote among the first `MAX_BESIDES`
    # bytes opens it. Otherwise there is too much before it.
    opening = value.rfind(b'"', begin, begin + MAX_BESIDES)
    closing = value.find(b'"', opening + 1) if opening >= 0 else -1
    if closing < 0 or (end - begin) - (closing - opening - 1) > MAX_BESIDES:
        _Part(value[begin : begin + _WHOLE], name, remedy, begin, cut_off=True).read()
        raise _too_large(name)
    rest = value[begin : opening + 1] + _PLACEHOLDER + value[closing:end]
    cut = (opening + 1 - begin, closing - opening - 1 - len(_PLACEHOLDER))
    document = _Part(rest, name, remedy, begin, cut).read()
    if isinstance(document, dict):
        if document.get("image") != _PLACEHOLDER.decode():
            raise _too_large(name)
        document["image"] = _text(value, opening, closing, name)
    return document


def read_job_document(value: Data, name: str, remedy: str) -> object:
    """Parse a job's document as `read_document` does, but decode its image at once where it can be.

    Plain Base64, as nearly all send it, never becomes a text: decoding it takes less time than
    parsing it, and finds all that a JSON text or Base64 may not have.

    Returns:
        The value; in place of an image's text there may be its bytes.

    Raises:
        JobError: as `read_document`.
    """
    plain = _read_plain(value) if len(value) in _PLAIN else None
    return read_document(value, name, remedy) if plain is None else plain


def _read_plain(value: Data) -> dict[str, object] | None:
    """Parse a document with an image in plain Base64; None if it has none, or is wrong."""
    opening = value.rfind(b'"', 0, _NEAR)
    closing = value.find(b'"', opening + 1)
    # An empty text is none: it is refused as a field, an empty file as an image.
    if opening < 0 or closing <= opening + 1 or len(value) - closing > _NEAR:
        return None
    try:
        document = orjson.loads(value[: opening + 1] + _PLACEHOLDER + value[closing:])
        if not isinstance(document, dict) or document.get("image") != _PLACEHOLDER.decode():
            return None
        # Strictly: an escape, say, makes it fail.
        text = memoryview(value)[opening + 1 : closing]
        document["image"] = pybase64.b64decode(text, validate=True)
    except (ValueError, MemoryError):
        return None  # `read_document` says what is wrong: if it is memory, not the document
    return document


class _Part:
    """A document, or the bounded part of one that is parsed instead.

    Args:
        begin: offset of the part in the document.
        cut: offset in the part at which bytes were left out, and how many.
        cut_off: whether the document goes on after the part.
    """

    def __init__(
        self,
        data: Data,
        name: str,
        remedy: str,
        begin: int = 0,
        cut: tuple[int, int] = (0, 0),
        *,
        cut_off: bool = False,
    ) -> None:
        self._data = data
        self._name = name
        self._remedy = remedy
        self._begin = begin
        self._cut = cut
        self._cut_off = cut_off

    def read(self) -> object:
        """Parse the part.

        Returns:
            The document; None if it is cut off and correct up to there.

        Raises:
            JobError: it is not UTF-8, or not JSON; or what was left out of it is not one text.
        """
        try:
            return orjson.loads(self._data)
        except orjson.JSONDecodeError as error:
            # orjson has one error for all faults. Only failed jobs pay for telling them apart.
            _check_memory(error, self._name)
            self._check_utf8()
            if self._cut[1] and error.doc.startswith(_PLACEHOLDER.decode(), error.pos):
                # The quote before the cut closes a text instead of opening one: there is too much
                # besides the image's text.
                raise _too_large(self._name) from error
            if self._cut_off and error.pos >= len(self._data) - _CUT_MARGIN:
                return None
            raise JobError(
                Reason.NOT_JSON, f"the {self._name} is not JSON: {self._located(error)}"
            ) from error

    def _check_utf8(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(self._data, final=not self._cut_off)
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
    """Parse the string between two quotes of `value`: at its length only ASCII is accepted.

    Raises:
        JobError: it is no string, or has other characters.
    """
    ascii_only = value.isascii() or value[opening:closing].isascii()
    if ascii_only and value.find(b"\\", opening, closing) >= 0:
        # Escapes are accepted, except those of characters that take more than one byte.
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
    """Raise if the parser ran out of memory: then the document is not at fault.

    Raises:
        JobError: `UNAVAILABLE`.
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
