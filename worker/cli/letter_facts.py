"""All that is known of one dead letter, as names and values for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker.cli.letter_report import MAX_SHOWN
from worker.contract.jobs import EncodedImage, RawImage, UrlImage
from worker.contract.letters import own_headers
from worker.contract.parsing import parse_job
from worker.dead_letters.advice import advice
from worker.dead_letters.times import moment_text
from worker.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.contract.letters import DeadLetter
    from worker.contract.records import Record

__all__ = ["letter_facts"]


def letter_facts(
    record: Record,
    letter: DeadLetter,
    headers: Sequence[dict[str, str | None]],
    replayed: bool | None,
) -> list[tuple[str, str]]:
    """Describe a letter.

    Args:
        headers: the record's own, as they may be shown.
        replayed: whether the record was put back from this letter; None if that is not known.

    Returns:
        Names and values, not yet safe to print.
    """
    attempts = "" if letter.attempts in (None, 1) else f", tried {letter.attempts} times"
    code = "" if letter.code is None else f" ({letter.code})"
    key = None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
    known = {True: "yes", False: "no", None: "not known: this user may not use the group"}
    facts: list[tuple[str, str | None]] = [
        ("letter", letter.id),
        ("failed at", moment_text(letter.timestamp_ms)),
        ("record", letter.source_id),
        ("written at", moment_text(letter.source_timestamp_ms)),
        ("job", letter.job_id),
        ("key", key),
        ("reason", letter.reason and f"{letter.reason}{code}, in stage {letter.stage}{attempts}"),
        ("message", letter.message),
        ("what to do", letter.unfit or advice(letter.reason)),
        ("model", letter.model),
        ("put back", f"{letter.replays} times before it failed" if letter.replays else None),
        ("replayed", "it cannot be" if letter.unfit else known[replayed]),
        ("size", f"{letter.size} bytes with headers, {len(record.value or b'')} of them the value"),
        ("image", _image(record)),
        ("worker", letter.worker_version),
    ]
    for header in headers:
        name, value = f"header {header['name']}", header.get("value")
        if value is None:
            value = f"(not text) {header.get('base64')}"
        facts.append((name, value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"))
    return [(name, value) for name, value in facts if value]


def _image(record: Record) -> str:
    try:
        image = parse_job(replace(record, headers=own_headers(record.headers))).image
    except JobError as error:
        return f"none can be read: {error}"
    match image:
        case UrlImage(url):
            return url
        case EncodedImage(text):
            return f"{len(text)} characters of Base64 or a data: URI (show --save writes it)"
        case RawImage(data):
            return f"{len(data)} bytes (show --save writes it)"
