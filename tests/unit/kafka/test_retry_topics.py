"""Which failures are tried again, when, and by way of which topic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.messages import RECORD
from worker.clock import Clock
from worker.contract.records import Record
from worker.contract.retries import not_before_ms
from worker.errors import Failure, Reason, Stage
from worker.kafka.batches import MAX_HEADERS
from worker.kafka.retry_topics import ADDED_HEADERS, RetryTopics

NOW = 1_000_000.0
LADDER = {"later-10s": 10.0, "later-1m": 60.0}
TRANSIENT = Failure(Reason.FETCH_FAILED, "HTTP 503", Stage.FETCH, attempts=4, transient=True)
RETRIES = RetryTopics(LADDER, Clock(wall=lambda: NOW))


def postponed(record: Record, failure: Failure = TRANSIENT) -> Record:
    """The record in the retry topic to which a failed one goes."""
    first, _ = RETRIES.first_record(record)
    answer = RETRIES.postpone(record, first, failure, "a", None)
    assert answer is not None
    ending, outgoing = answer
    assert ending.delay == LADDER[outgoing.topic]
    message = outgoing.message
    assert outgoing.reductions == ()
    return Record(outgoing.topic, 0, 5, 0, message.key, message.value, message.headers)


def test_a_job_takes_one_delay_after_another_and_stays_the_same_job() -> None:
    first = postponed(RECORD)
    assert first.topic == "later-10s"
    assert not_before_ms(first) == (NOW + 10) * 1000
    assert RETRIES.first_record(first) == (RECORD, 4)
    second = postponed(first, replace(TRANSIENT, attempts=8))
    assert second.topic == "later-1m"
    assert not_before_ms(second) == (NOW + 60) * 1000
    assert RETRIES.first_record(second) == (RECORD, 8)
    assert RETRIES.postpone(second, RECORD, TRANSIENT, "a", None) is None, "that was the last"


def test_what_will_not_pass_is_not_tried_again() -> None:
    assert RETRIES.postpone(RECORD, RECORD, replace(TRANSIENT, transient=False), "a", None) is None


@pytest.mark.parametrize(("deadline", "waits"), [(NOW, False), (NOW + 10, False), (NOW + 11, True)])
def test_a_job_does_not_wait_beyond_its_deadline(deadline: float, waits: bool) -> None:
    answer = RETRIES.postpone(RECORD, RECORD, TRANSIENT, "a", deadline)
    assert (answer is not None) == waits


def test_without_delays_nothing_is_tried_again() -> None:
    assert RetryTopics({}).postpone(RECORD, RECORD, TRANSIENT, "a", None) is None


def test_only_a_record_of_a_retry_topic_names_another_as_its_first() -> None:
    forged = replace(postponed(RECORD), topic="image-jobs")
    assert RETRIES.first_record(forged) == (forged, 0)
    assert postponed(forged).topic == "later-10s", "the first delay, whatever the headers say"


def test_a_stranger_in_a_retry_topic_is_a_job_of_its_own() -> None:
    stranger = replace(RECORD, topic="later-10s")
    assert RETRIES.first_record(stranger) == (stranger, 0)
    assert postponed(stranger).topic == "later-1m"


@pytest.mark.parametrize("room", [0, 1])
def test_a_record_that_would_have_too_many_headers_is_not_tried_again(room: int) -> None:
    count = MAX_HEADERS - ADDED_HEADERS + 1 - room
    record = replace(RECORD, headers=(("n", b""),) * count)
    answer = RETRIES.postpone(record, record, TRANSIENT, "a", None)
    assert (answer is not None) == bool(room)
    if answer is not None:
        # A span's context is put in when it is sent.
        assert len(answer[1].message.headers) + 2 <= MAX_HEADERS
