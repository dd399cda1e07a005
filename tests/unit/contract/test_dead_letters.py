"""Dead letters, byte by byte, and their smaller forms."""

from __future__ import annotations

from dataclasses import replace

from tests.support.messages import FAILURE, RECORD
from worker import __version__
from worker.contract.dead_letters import dead_letter_message, without_origin, without_value
from worker.contract.records import Headers, Record

SMALL = 8 * 1024
"""No sensible topic takes less."""

MANY: Headers = [("x" * 100 + str(number), b"y" * 4000) for number in range(64)]
LARGE = Record("jobs", 3, 42, 0, b"k" * 1_000_000, b"v" * 1_000_000, MANY)


def test_dead_letter_is_the_record_and_why_it_failed() -> None:
    letter = dead_letter_message(RECORD, "a-42", replace(FAILURE, attempts=4), "PP-LCNet_x1_0")
    assert (letter.key, letter.value) == (RECORD.key, RECORD.value)
    originals = tuple(header for header in RECORD.headers if header[0] != "dead-letter-reason")
    assert letter.headers == (
        *originals,
        ("dead-letter-id", b"image-jobs-3-42"),
        ("dead-letter-job-id", b"a-42"),
        ("dead-letter-source-topic", b"image-jobs"),
        ("dead-letter-source-partition", b"3"),
        ("dead-letter-source-offset", b"42"),
        ("dead-letter-source-timestamp", b"1795486969572"),
        ("dead-letter-stage", b"fetch"),
        ("dead-letter-reason", b"not_found"),
        ("dead-letter-code", b"404"),
        ("dead-letter-message", b"the URL answers 404"),
        ("dead-letter-attempts", b"4"),
        ("dead-letter-worker-version", __version__.encode()),
        ("dead-letter-model", b"PP-LCNet_x1_0"),
    )


def test_dead_letter_of_nothing_stays_nothing() -> None:
    letter = dead_letter_message(replace(RECORD, key=None, value=None, headers=()), None, FAILURE)
    assert letter.key is None
    assert letter.value is None


def test_a_dead_letter_that_is_too_large_keeps_its_headers() -> None:
    letter = dead_letter_message(RECORD, "a-42", FAILURE)
    smaller = without_value(letter)
    assert (smaller.key, smaller.value) == (RECORD.key, None)
    assert smaller.headers == (*letter.headers, ("dead-letter-value-omitted", b"17"))


def test_a_job_without_a_name_goes_by_its_records_id() -> None:
    letter = dead_letter_message(RECORD, None, FAILURE)
    assert dict(letter.headers)["dead-letter-job-id"] == b"image-jobs-3-42"


def test_the_message_is_bounded() -> None:
    letter = dead_letter_message(RECORD, "a-42", replace(FAILURE, message="é" * 5000))
    assert dict(letter.headers)["dead-letter-message"].decode() == "é" * 1023 + "…"


def test_a_dead_letter_that_has_no_room_says_where_its_record_is() -> None:
    message = without_origin(without_value(dead_letter_message(LARGE, "j" * 512, FAILURE)))
    assert message.size < SMALL
    about = dict(message.headers)
    assert about["dead-letter-source-topic"] == b"jobs"
    assert about["dead-letter-source-partition"] == b"3"
    assert about["dead-letter-source-offset"] == b"42"
    assert about["dead-letter-value-omitted"] == b"1000000"
    assert about["dead-letter-reason"] == b"not_found"
    assert (message.key, message.value) == (None, None)
