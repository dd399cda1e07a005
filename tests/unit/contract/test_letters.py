"""What a dead letter says, and the record that goes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.messages import FAILURE, RECORD
from worker.contract.dead_letters import dead_letter_message, without_origin, without_value
from worker.contract.letters import read_letter, restored_message
from worker.contract.records import Message, Record
from worker.errors import Failure, Reason, Stage


def stored(message: Message) -> Record:
    return Record("dead", 1, 5, 2000, message.key, message.value, message.headers)


LETTER = stored(dead_letter_message(RECORD, "a-42", replace(FAILURE, attempts=4), "PP-LCNet"))


def test_a_letter_tells_what_failed_and_where_it_came_from() -> None:
    letter = read_letter(LETTER)
    assert letter.id == "dead-1-5"
    assert (letter.source_id, letter.source_topic) == ("image-jobs-3-42", "image-jobs")
    assert (letter.source_partition, letter.source_offset) == (3, 42)
    assert (letter.source_timestamp_ms, letter.timestamp_ms) == (1_795_486_969_572, 2000)
    assert (letter.stage, letter.reason, letter.code) == ("fetch", "not_found", 404)
    assert (letter.message, letter.attempts) == ("the URL answers 404", 4)
    assert (letter.job_id, letter.key, letter.model) == ("a-42", b"\x00key", "PP-LCNet")
    assert (letter.replays, letter.unfit) == (0, None)


def test_the_record_goes_back_without_what_the_letter_added() -> None:
    back = restored_message(LETTER)
    assert (back.key, back.value) == (RECORD.key, RECORD.value)
    own = tuple(header for header in RECORD.headers if header[0] != "dead-letter-reason")
    assert back.headers == (*own, ("replay-attempts", b"1"))


def test_a_record_that_fails_again_keeps_its_count() -> None:
    once = restored_message(LETTER)
    again = replace(RECORD, headers=once.headers)
    letter = stored(dead_letter_message(again, "a-42", FAILURE, "PP-LCNet"))
    assert read_letter(letter).replays == 1
    twice = restored_message(letter).headers
    assert [value for name, value in twice if name == "replay-attempts"] == [b"2"]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (
            stored(without_value(dead_letter_message(RECORD, None, FAILURE))),
            "17 bytes was left out",
        ),
        (
            stored(without_origin(without_value(dead_letter_message(RECORD, None, FAILURE)))),
            "was left out",
        ),
        (stored(dead_letter_message(replace(RECORD, value=None), None, FAILURE)), "no value"),
        (stored(dead_letter_message(replace(RECORD, value=b""), None, FAILURE)), "no value"),
        (
            stored(
                dead_letter_message(
                    RECORD, None, Failure(Reason.UNREADABLE, "damaged", Stage.PARSE)
                )
            ),
            "could not be read",
        ),
        (replace(RECORD, headers=()), "no dead letter"),
        (replace(LETTER, unreadable="its batch is damaged"), "cannot be read: its batch"),
    ],
)
def test_what_can_never_go_back_says_why(record: Record, why: str) -> None:
    unfit = read_letter(record).unfit
    assert unfit is not None
    assert why in unfit


def test_a_letter_may_hold_anything() -> None:
    odd: list[Any] = [
        ("dead-letter-source-topic", b"\xff"),
        ("dead-letter-source-partition", b"\xff"),
        ("dead-letter-code", None),
        ("replay-attempts", b"9" * 5000),
    ]
    letter = read_letter(replace(RECORD, headers=odd))
    assert (letter.source_partition, letter.code) == (None, None)
