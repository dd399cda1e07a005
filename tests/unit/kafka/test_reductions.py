"""The last, small form of results and dead letters, whatever made them too large."""

from __future__ import annotations

import orjson

from worker.contract.jobs import Category, Headers, ModelIdentity, Outcome, Record, Success
from worker.contract.messages import (
    Message,
    dead_letter_message,
    result_message,
    without_copies,
    without_origin,
    without_picture,
    without_value,
)
from worker.errors import Failure, Reason, Stage

SMALL = 8 * 1024
"""No sensible topic takes less."""

HEADERS: Headers = [("x" * 100 + str(number), b"y" * 4000) for number in range(64)]
RECORD = Record("jobs", 3, 42, 0, b"k" * 1_000_000, b"v" * 1_000_000, HEADERS)
JOB_ID = "j" * 512
MODEL = ModelIdentity("model", "sha256:0", "paddle")
FEW = Success(tuple(Category(n, "a label", 0.0) for n in range(5)), b"p" * 1_000_000)
FAILURE = Failure(Reason.NOT_FOUND, "m" * 5000, Stage.FETCH, 4)


def result_of(outcome: Outcome) -> Message:
    return result_message(RECORD, JOB_ID, outcome, MODEL)


def test_a_result_without_room_keeps_its_categories_and_its_name() -> None:
    message = without_copies(without_picture(result_of(FEW)))
    assert message.size < SMALL
    body = orjson.loads(message.value or b"")
    assert (body["id"], body["jobId"]) == ("jobs-3-42", "j" * 512)
    assert (body["errorCode"], len(body["result"]["categories"])) == (0, 5)
    assert body["result"]["imageOmitted"] is True
    assert message.key is None
    assert dict(message.headers) == {
        "content-type": b"application/json",
        "result-id": b"jobs-3-42",
        "source-topic": b"jobs",
        "source-partition": b"3",
        "source-offset": b"42",
        "source-timestamp": b"0",
    }


def test_a_failure_that_has_no_room_stays_the_failure_that_it_is() -> None:
    whole = result_of(FAILURE)
    message = without_copies(whole)
    assert whole.size > 1_000_000
    assert message.size < SMALL
    assert message.value == whole.value


def test_a_dead_letter_that_has_no_room_says_where_its_record_is() -> None:
    message = without_origin(without_value(dead_letter_message(RECORD, JOB_ID, FAILURE)))
    assert message.size < SMALL
    about = dict(message.headers)
    assert about["dead-letter-source-topic"] == b"jobs"
    assert about["dead-letter-source-partition"] == b"3"
    assert about["dead-letter-source-offset"] == b"42"
    assert about["dead-letter-value-omitted"] == b"1000000"
    assert about["dead-letter-reason"] == b"not_found"
    assert (message.key, message.value) == (None, None)
