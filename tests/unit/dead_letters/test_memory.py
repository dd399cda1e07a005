"""What is remembered of replays: exact, and short."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.messages import FAILURE, RECORD
from worker.contract.dead_letters import dead_letter_message
from worker.contract.letters import DeadLetter, read_letter
from worker.contract.records import Record
from worker.dead_letters.filters import Conditions
from worker.dead_letters.intervals import Intervals
from worker.dead_letters.memory import (
    MAX_METADATA,
    MemoryFullError,
    PartitionProgress,
    Replayed,
)

ANY = read_letter(
    Record("dead", 0, 0, 0, None, b"x", dead_letter_message(RECORD, "a", FAILURE).headers)
)
REASONS = ("a", "b", "c")
EVERY = Conditions()


def letter(offset: int, reason: str = "a") -> DeadLetter:
    return replace(ANY, offset=offset, reason=reason)


@given(
    st.lists(st.sampled_from(REASONS), min_size=1, max_size=40),
    st.lists(
        st.tuples(st.sets(st.sampled_from(REASONS)), st.integers(0, 40), st.integers(0, 40)),
        max_size=6,
    ),
    st.integers(0, 10),
)
def test_it_knows_exactly_what_was_replayed(
    reasons: list[str], replays: list[tuple[set[str], int, int]], begin: int
) -> None:
    letters = [letter(begin + 2 * n, reason) for n, reason in enumerate(reasons)]
    expected: set[int] = set()
    position, text = -1, ""
    for wanted, start, count in replays:
        memory = Replayed.read(position, text)
        assert {each.offset for each in letters if each in memory} == expected
        conditions = Conditions.of(None, reason=wanted)
        progress = PartitionProgress(memory, conditions, begin, begin + start)
        for each in [each for each in letters if each.offset >= begin + start][:count]:
            hit = conditions.match(each)
            progress.note(each.offset, done=hit or each in memory, chosen=True)
            expected |= {each.offset} if hit else set()
        position, text = progress.written()
        assert len(text) <= MAX_METADATA
    final = Replayed.read(position, text)
    assert {each.offset for each in letters if each in final} == expected


def test_a_million_letters_here_and_there_take_a_line() -> None:
    conditions = Conditions.of(5, reason=["a"])
    progress = PartitionProgress(Replayed(), conditions, 0, 0)
    for offset in range(100_000):
        progress.note(offset, done=offset % 2 == 0, chosen=True)
    assert progress.written() == (0, '{"replayed":[[{"reason":["a"],"below":5},"0+100000"]]}')


def test_one_letter_takes_its_offset_and_not_its_conditions() -> None:
    progress = PartitionProgress(Replayed(), Conditions.of(5, job=["a-42"]), 100, 100)
    for offset in range(100, 200):
        progress.note(offset, done=offset == 150, chosen=True)
    assert progress.written() == (100, '{"replayed":[[{},"50+1"]]}')


def test_what_failed_is_not_remembered() -> None:
    progress = PartitionProgress(Replayed(), EVERY, 0, 0)
    for offset in range(10):
        progress.note(offset, done=offset != 4, chosen=offset != 4)
    memory = Replayed.read(*progress.written())
    assert [n for n in range(10) if letter(n) not in memory] == [4]


def test_a_replay_of_the_rest_makes_it_a_prefix_again() -> None:
    some = Replayed([(Conditions.of(None, reason=["a"]), Intervals([(0, 90)]))])
    assert some.position(0) == 0
    rest = some.joined(EVERY, Intervals([(0, 100)]))
    assert rest.written(0) == (100, "")
    assert letter(99, "c") in Replayed.read(100, "")


def test_what_is_no_longer_there_is_forgotten() -> None:
    some = Replayed([(Conditions.of(None, reason=["a"]), Intervals([(0, 90)]))])
    assert some.written(90) == (90, "")


def test_a_memory_that_does_not_fit_says_what_to_do() -> None:
    many = Replayed(
        (Conditions.of(None, job=[f"{number:0100}"]), Intervals([(number, 1000)]))
        for number in range(100)
    )
    progress = PartitionProgress(many, Conditions.of(None, job=["x"]), 0, 0)
    with pytest.raises(MemoryFullError, match="purge up to a time"):
        progress.written()


@pytest.mark.parametrize("text", ["consumer-1", "[]", '{"replayed":3}', '{"replayed":[["a","b"]]}'])
def test_what_others_committed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Replayed.read(3, text)
