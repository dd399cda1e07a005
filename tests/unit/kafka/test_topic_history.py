"""What a topic's refusals mean for its next messages, by a clock that the test sets."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, for_code

from worker.clock import Clock
from worker.kafka.broker_errors import ErrorKind
from worker.kafka.topic_history import DOUBT_PATIENCE, ISOLATION_SECONDS, TopicHistory

REFUSED: KafkaError = for_code(29)()


class Now:
    now = 1000.0


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def forbidden() -> list[bool]:
    return []


@pytest.fixture
def history(clock: Now, forbidden: list[bool]) -> TopicHistory:
    return TopicHistory(forbidden.append, Clock(lambda: clock.now))


def test_a_refusal_isolates_its_topic_for_a_while(history: TopicHistory, clock: Now) -> None:
    history.refused("results", ErrorKind.FINAL, REFUSED)
    assert history.is_isolated("results")
    assert not history.is_isolated("dead letters")
    clock.now += ISOLATION_SECONDS
    assert not history.is_isolated("results")


def test_a_condition_of_the_brokers_isolates_nothing(history: TopicHistory) -> None:
    history.refused("results", ErrorKind.RETRY, REFUSED)
    assert not history.is_isolated("results")


def test_a_topic_with_an_unknown_limit_stays_isolated(history: TopicHistory, clock: Now) -> None:
    history.refused("results", ErrorKind.TOO_LARGE, REFUSED)
    history.refused("results", ErrorKind.FINAL, REFUSED)
    clock.now += 10 * ISOLATION_SECONDS
    assert history.is_isolated("results")


def test_a_message_is_at_fault_only_if_its_topic_accepts_others(
    history: TopicHistory, clock: Now
) -> None:
    history.accepted("results")
    clock.now += 1
    since = clock.now
    clock.now += DOUBT_PATIENCE
    assert not history.is_message_at_fault("results", since), "it accepted nothing meanwhile"
    history.accepted("results")
    assert history.is_message_at_fault("results", since)
    assert not history.is_message_at_fault("results", since + 1), "not for long enough yet"


def test_it_is_reported_whether_any_topic_refuses_everything(
    history: TopicHistory, forbidden: list[bool]
) -> None:
    history.refused("results", ErrorKind.FORBIDDEN, REFUSED)
    history.refused("results", ErrorKind.FORBIDDEN, REFUSED)
    history.refused("dead letters", ErrorKind.FORBIDDEN, REFUSED)
    history.accepted("results")
    history.accepted("results")
    history.accepted("dead letters")
    assert forbidden == [True, True, True, False]


def test_it_is_reported_whether_any_transactions_are_forbidden(
    history: TopicHistory, forbidden: list[bool]
) -> None:
    first, second = TopicPartition("jobs", 0), TopicPartition("jobs", 1)
    history.forbid_transactions(first, REFUSED)
    history.forbid_transactions(first, REFUSED)
    history.forbid_transactions(second, REFUSED)
    history.accepted("jobs")
    history.allow_transactions(first)
    history.allow_transactions(first)
    history.allow_transactions(second)
    assert forbidden == [True, True, True, False]
    assert not history.is_isolated("jobs"), "no topic refuses anything"
