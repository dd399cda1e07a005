"""Each partition has its turn in a fetch, and is asked for as much as its next batch needs."""

from __future__ import annotations

from aiokafka import TopicPartition

from worker.kafka.fetch_plan import FetchPlan

SHARE, MOST = 1000, 8000
JOBS = [TopicPartition("jobs", number) for number in range(4)]
LATER = TopicPartition("later", 0)


def asked(plan: FetchPlan, *partitions: TopicPartition) -> dict[TopicPartition, int]:
    """What is asked for, in the order of the request."""
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for topic, number in partitions:
        topics.setdefault(topic, []).append((number, 70 + number, SHARE))
    arranged = plan.arrange(list(topics.items()), MOST)
    assert all(offset == 70 + number for _, each in arranged for number, offset, _ in each)
    assert len({topic for topic, _ in arranged}) == len(arranged)
    return {
        TopicPartition(topic, number): nbytes
        for topic, each in arranged
        for number, _, nbytes in each
    }


def test_of_a_partition_of_which_nothing_is_known_its_share_is_asked_for() -> None:
    assert asked(FetchPlan(), *JOBS) == dict.fromkeys(JOBS, SHARE)


def test_the_partition_that_has_had_nothing_for_longest_comes_first() -> None:
    plan = FetchPlan()
    for number in (2, 0, 3):
        plan.note_came(JOBS[number], 10)
    assert list(asked(plan, *JOBS)) == [JOBS[number] for number in (1, 2, 0, 3)]
    plan.note_came(JOBS[2], 10)
    assert list(asked(plan, *JOBS)) == [JOBS[number] for number in (1, 0, 3, 2)]


def test_those_that_are_equal_stay_as_they_were() -> None:
    assert list(asked(FetchPlan(), *reversed(JOBS))) == JOBS[::-1]


def test_the_topic_that_has_had_nothing_for_longest_comes_first_with_all_its_partitions() -> None:
    plan = FetchPlan()
    plan.note_came(JOBS[0], 10)
    plan.note_came(LATER, 10)
    assert list(asked(plan, *JOBS[1::-1], LATER)) == [*JOBS[1::-1], LATER]
    plan.note_came(JOBS[1], 10)
    assert list(asked(plan, *JOBS[1::-1], LATER)) == [LATER, *JOBS[:2]]


def test_a_partition_that_never_has_anything_puts_its_topic_before_no_other() -> None:
    plan = FetchPlan()
    for _ in range(3):
        plan.note_came(JOBS[0], 10)
        # Nor while what its topic has had last is still to be polled, and not asked for.
        assert list(asked(plan, *JOBS[1:], LATER)) == [LATER, *JOBS[1:]]
        assert list(asked(plan, *JOBS, LATER)) == [LATER, *JOBS[1:], JOBS[0]]


def test_for_a_batch_that_did_not_fit_more_is_asked_for_each_time() -> None:
    plan = FetchPlan()
    for nbytes in (SHARE, 2 * SHARE, 4 * SHARE, MOST, MOST):
        assert asked(plan, *JOBS[:2]) == {JOBS[0]: nbytes, JOBS[1]: SHARE}
        plan.note_too_large(JOBS[0], nbytes)


def test_as_much_is_asked_for_as_a_batch_like_the_last_one_needs() -> None:
    plan = FetchPlan()
    plan.note_too_large(JOBS[0], 4 * SHARE)
    plan.note_came(JOBS[0], 2 * SHARE)
    assert asked(plan, JOBS[0]) == {JOBS[0]: 2 * SHARE + SHARE // 2}
    plan.note_came(JOBS[0], 10)
    assert asked(plan, JOBS[0]) == {JOBS[0]: SHARE}
