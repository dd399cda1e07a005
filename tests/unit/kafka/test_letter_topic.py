"""What was replayed is asked for until the group's coordinator can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from worker.clock import Clock
from worker.errors import KafkaSetupError
from worker.kafka.letter_topic import LetterTopic
from worker.settings import KafkaSettings

TOPIC = KafkaSettings().dead_letters_topic
OFFSETS = {
    TopicPartition(TOPIC, 0): OffsetAndMetadata(7, "text"),
    TopicPartition(TOPIC, 1): OffsetAndMetadata(-1, ""),
}


class Admin:
    """Gives a test's answers, the last one forever; None is no coordinator."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def find_coordinator(self, group: str) -> int:
        if self.answers[0] is None:
            self._answer()
            raise CoordinatorNotAvailableError
        return 0

    async def list_consumer_group_offsets(self, *request: object) -> object:
        return self._answer()

    def _answer(self) -> object:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def topic(admin: Admin) -> LetterTopic:
    now: Iterator[int] = iter(range(10**6))

    async def sleep(seconds: float) -> None:
        """Time passes by looking at the clock."""

    clock = Clock(monotonic=lambda: float(next(now)), sleep=sleep)
    made = LetterTopic(KafkaSettings(), clock)
    made._admin = cast("Any", admin)
    made.bounds = {0: (0, 10), 1: (0, 10)}
    return made


async def test_a_coordinator_that_cannot_tell_now_is_asked_again() -> None:
    # An empty answer is how aiokafka returns that the group is loading, or has moved.
    admin = Admin(None, {}, {}, OFFSETS)
    assert await topic(admin).committed("group") == {0: (7, "text"), 1: (-1, "")}
    assert admin.asked == 4


async def test_a_coordinator_that_never_tells_is_an_error_and_no_empty_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_cause(settings: KafkaSettings) -> None:
        """Nothing is asked of the network."""

    monkeypatch.setattr("worker.kafka.letter_topic.find_cause", no_cause)
    with pytest.raises(KafkaSetupError, match="cannot use"):
        await topic(Admin({})).committed("group")
