"""`multipart/form-data` as browsers and `curl -F` send it: one file, and options in fields."""

from __future__ import annotations

from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from worker.errors import JobError, Reason

__all__ = ["Form", "read_form"]

MAX_PARTS = 32
"""Most parts of a form: one file, and far more fields than there are options."""

MAX_FIELD = 1024
"""Most bytes of a field that is no file."""

UNKNOWN_TYPE = "application/octet-stream"
"""The type of bytes that are just that."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds; of the file nothing but its bytes.

    Attributes:
        fields: name and text of each part that is no file, in order.
    """

    file: bytes
    fields: tuple[tuple[str, str], ...]


def read_form(body: bytes | bytearray, content_type: str) -> Form:
    """The form in `body`, whose Content-Type names the boundary of its parts.

    Raises:
        JobError: it is no such form or ends too early, has too many or too long fields, or not
            exactly one file.
    """
    files: list[bytes] = []
    fields: list[tuple[str, str]] = []
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        # Whatever a name is written in, nobody reads it: no byte of it may fail a form.
        with PushMultipartParser(
            boundary, max_segment_count=MAX_PARTS, header_charset="latin-1", strict=True
        ) as parser:
            part = MultipartSegment([])
            data: list[bytes] = []
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    part, data = event, []
                elif event is not None:
                    data.append(event)
                    if not _is_file(part) and part.bytes_received > MAX_FIELD:
                        raise _too_long(part)
                elif not _is_file(part):
                    fields.append((part.name or "", b"".join(data).decode("utf-8", "replace")))
                elif part.filename != "" or data:
                    # A browser sends the field of a file that nobody chose with an empty name.
                    files.append(b"".join(data))
                    if len(files) > 1:
                        raise _not_one("has more than one file; send one request for each")
    except (MultipartError, UnicodeError) as error:
        raise JobError(
            Reason.UNREADABLE, f"the form cannot be read ({str(error)[:80]}); check its boundary"
        ) from error
    if not files:
        raise _not_one("has no file; send one as curl -F file=@cat.jpg does, with a file name")
    return Form(files[0], tuple(fields))


def _is_file(part: MultipartSegment) -> bool:
    """By its name; or by its type, as from clients that send bytes of memory."""
    kind = part.content_type or ""
    return part.filename is not None or kind.startswith("image/") or kind == UNKNOWN_TYPE


def _too_long(part: MultipartSegment) -> JobError:
    return JobError(
        Reason.TOO_LARGE,
        f"the form's field {(part.name or '')[:80]!r} has more than {MAX_FIELD} bytes; give a file "
        "a file name",
    )


def _not_one(why: str) -> JobError:
    return JobError(Reason.WRONG_FIELD, f"the form {why}")
