"""From a job's text to an image's bytes: Base64 in the shapes that people send, and `data:` URIs.

Everything here runs in C, whatever the text: no loop over characters, and a size check that needs
nothing but the text's length.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pybase64

from worker.errors import JobError, Reason

__all__ = ["MAX_PERCENT_ENCODED", "decode_image_text"]

MAX_PERCENT_ENCODED = 2**20
"""Longest percent-encoded `data:` URI, in characters; decoding one is slow and holds the GIL."""

_SCHEME = "data:"
_MAX_HEADER = 1024
_URL_SAFE = str.maketrans("-_", "+/")
_NOT_BLANK = re.compile(r"\S")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_=\r\n-]|\r(?!\n)")
_NOT_PADDING = re.compile(r"[^=\r\n]")
_NOT_PERCENT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|[^\x21-\x7e]")
# The characters of Base64 that URL encoders escape.
_ESCAPES = {f"%{ord(sign):02{case}}": sign for sign in "+/=\r\n" for case in "Xx"}


def decode_image_text(text: str, max_bytes: int) -> bytes:
    """Decode the text of an image.

    Accepted are Base64 in the standard and the URL-safe alphabet, padded or not, in one line or
    with the line breaks (LF or CRLF) that `base64 FILE` makes, with white space around it; and
    `data:` URIs, Base64 or percent-encoded, with any media type and parameters (the bytes decide).

    Returns:
        The image's bytes.

    Raises:
        JobError: `TOO_LARGE` when more than `max_bytes` would come out, found before decoding;
            `BAD_BASE64` for anything else, naming the first bad character and its position,
            counted from 0.
    """
    start = len(text) - len(text.lstrip())
    if text[start : start + len(_SCHEME)].lower() == _SCHEME:
        return _decode_data_uri(text, start, max_bytes)
    return _decode_base64(text, start, max_bytes)


def _decode_data_uri(text: str, start: int, max_bytes: int) -> bytes:
    comma = text.find(",", start, start + _MAX_HEADER)
    if comma < 0:
        raise JobError(
            Reason.BAD_BASE64,
            "the data: URI has no comma after its media type; write data:image/jpeg;base64,...",
        )
    payload = comma + 1
    parameters = text[start:comma].lower().split(";")[1:]
    if "base64" in (parameter.strip() for parameter in parameters):
        begin = _NOT_BLANK.search(text, payload)
        payload = len(text) if begin is None else begin.start()
        return _decode_base64(text, payload, max_bytes, escapes=True)
    return _decode_percent(text, payload, max_bytes)


def _decode_percent(text: str, start: int, max_bytes: int) -> bytes:
    body = text[start:].rstrip()
    if len(body) > min(MAX_PERCENT_ENCODED, 3 * max_bytes):
        raise JobError(
            Reason.TOO_LARGE,
            f"the percent-encoded data: URI has {len(body)} characters, more than the "
            f"{min(MAX_PERCENT_ENCODED, 3 * max_bytes)} accepted; send Base64 instead",
        )
    bad = _NOT_PERCENT_ENCODED.search(body)
    if bad is not None:
        raise JobError(
            Reason.BAD_BASE64,
            f"character {bad.group()!r} at position {start + bad.start()} does not belong in a "
            "percent-encoded data: URI; escape it, or write ;base64 before the comma for Base64",
        )
    return _checked(unquote_to_bytes(body), max_bytes)


def _decode_base64(text: str, start: int, max_bytes: int, *, escapes: bool = False) -> bytes:
    # A tenth more for line breaks and white space; what comes out is measured again.
    longest = (max_bytes + 2) // 3 * 4 * 11 // 10 + 64
    if len(text) - start > longest:
        raise JobError(
            Reason.TOO_LARGE,
            f"the Base64 text has {len(text) - start} characters, more than an image of "
            f"{max_bytes} bytes has; send a smaller image",
        )
    body = text[start:] if start else text
    try:
        return _checked(pybase64.b64decode(body, validate=True), max_bytes)
    except ValueError:
        # Not the common form: perhaps one of the others, perhaps none.
        return _checked(_decode_variant(text, body, start, escapes=escapes), max_bytes)


def _decode_variant(text: str, body: str, start: int, *, escapes: bool) -> bytes:
    digits = body.rstrip()
    if escapes and "%" in digits:
        for escape, sign in _ESCAPES.items():
            digits = digits.replace(escape, sign)
    digits = digits.replace("\r\n", "").replace("\n", "").translate(_URL_SAFE)
    if digits.endswith("==="):
        raise _fault(text, start, escapes=escapes)
    unpadded = digits.rstrip("=")
    if len(unpadded) % 4 == 1:
        raise _fault(text, start, escapes=escapes)
    try:
        return pybase64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except ValueError as error:
        raise _fault(text, start, escapes=escapes) from error


def _fault(text: str, start: int, *, escapes: bool) -> JobError:
    """What is wrong, and where in the producer's own text."""
    searched = text.rstrip()
    if escapes:
        for escape in _ESCAPES:
            # Blanked, not decoded: positions stay those of the producer's text.
            searched = searched.replace(escape, "AAA")
    end = len(searched)
    bad = _NOT_BASE64.search(searched, start)
    padding = searched.find("=", start)
    if padding >= 0 and (bad is None or padding < bad.start()):
        if _NOT_PADDING.search(searched, padding) is not None:
            advice = "comes before the end; send one Base64 text"
        else:
            advice = "begins a padding of the wrong length; Base64 ends with at most two, or none"
        message = f"character '=' at position {padding} {advice}"
    elif bad is not None:
        advice = "send Base64 of the whole file, a data: URI or an http(s) URL"
        if bad.group().isspace():
            advice = "only LF and CRLF line breaks may (was a '+' turned into a space?)"
        shown = text[bad.start()]
        message = (
            f"character {shown!r} at position {bad.start()} does not belong in Base64; {advice}"
        )
    else:
        message = (
            f"the Base64 text ends in the middle of a group at position {end}: was it cut off? "
            "send the whole file"
        )
    return JobError(Reason.BAD_BASE64, message)


def _checked(data: bytes, max_bytes: int) -> bytes:
    if not data:
        raise JobError(Reason.BAD_BASE64, "the image text decodes to nothing; send a whole file")
    if len(data) > max_bytes:
        raise JobError(
            Reason.TOO_LARGE,
            f"the image has {len(data)} bytes, more than the {max_bytes} accepted; send a smaller "
            "one",
        )
    return data
