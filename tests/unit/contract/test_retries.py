"""Records for retry topics: what is read again is the job's first record, to the byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.messages import FAILURE, MODEL, RECORD
from worker.contract.dead_letters import dead_letter_message
from worker.contract.headers import RETRY_HEADERS
from worker.contract.records import Message, Record
from worker.contract.results import result_message
from worker.contract.retries import Retried, not_before_ms, read_retried, retry_message

names = st.text(max_size=12) | st.sampled_from(RETRY_HEADERS)
records = st.builds(
    Record,
    topic=st.just("image-jobs"),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**62),
    key=st.none() | st.binary(max_size=8),
    value=st.binary(max_size=8),
    headers=st.lists(st.tuples(names, st.binary(max_size=4)), max_size=8).map(tuple),
)


def read_back(message: Message) -> Record:
    """The message as it is read from a retry topic."""
    return Record("later-10s", 1, 2, 3, message.key, message.value, message.headers)


@given(records, st.integers(1, 10**6))
def test_the_first_record_comes_back_whatever_its_producer_wrote(
    record: Record, attempts: int
) -> None:
    failure = replace(FAILURE, attempts=attempts)
    again = read_back(retry_message(record, 1, 1_795_486_979_572, failure))
    assert read_retried(again) == Retried(record, attempts)
    assert not_before_ms(again) == 1_795_486_979_572


def test_results_and_dead_letters_do_not_show_that_a_job_was_retried() -> None:
    retried = read_retried(read_back(retry_message(RECORD, 2, 0, FAILURE)))
    assert retried is not None
    again = retried.record
    assert dead_letter_message(again, "a", FAILURE) == dead_letter_message(RECORD, "a", FAILURE)
    assert result_message(again, "a", FAILURE, MODEL) == result_message(RECORD, "a", FAILURE, MODEL)


def test_headers_that_follow_the_workers_own_do_no_harm() -> None:
    message = retry_message(RECORD, 1, 0, FAILURE)
    stamped = replace(message, headers=(*message.headers, ("traceparent", b"later")))
    retried = read_retried(read_back(stamped))
    assert retried is not None
    assert retried.record.headers == (*RECORD.headers, ("traceparent", b"later"))


@pytest.mark.parametrize("missing", RETRY_HEADERS)
def test_a_record_without_one_of_the_headers_is_no_retry(missing: str) -> None:
    again = read_back(retry_message(RECORD, 1, 0, FAILURE))
    kept = tuple(header for header in again.headers if header[0] != missing)
    assert read_retried(replace(again, headers=kept)) is None


@pytest.mark.parametrize("name", [n for n in RETRY_HEADERS if "source-" in n or "attempts" in n])
@pytest.mark.parametrize("value", [b"", None, b"\xff", b"x", b"-2", b"9" * 30, b"9" * 5000])
def test_a_record_with_a_header_that_is_no_place_is_no_retry(name: str, value: bytes) -> None:
    if name.endswith("timestamp") and value == b"-2":
        return  # any time may be
    if name.endswith("topic") and value:
        return  # any name may be
    again = read_back(retry_message(RECORD, 1, 0, FAILURE))
    forged = tuple((n, value if n == name else v) for n, v in again.headers)
    assert read_retried(replace(again, headers=forged)) is None


@pytest.mark.parametrize("value", [b"", b"soon", b"9" * 30])
def test_a_time_that_is_none_is_none(value: bytes) -> None:
    record = replace(RECORD, headers=(("job-retry-not-before-ms", value),))
    assert not_before_ms(record) is None


def test_what_could_not_be_read_is_no_retry() -> None:
    again = read_back(retry_message(RECORD, 1, 0, FAILURE))
    assert read_retried(replace(again, unreadable="it is cut off")) is None
