"""Processes in a chain work on as many images as they are told, in whole batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from worker.bench import chain


class EnoughError(Exception):
    """There is no more to do in this test."""


def work_until(count: int, question: dict[str, int]) -> list[int]:
    """The sizes of the first batches; the last of them is not done."""
    batches: list[int] = []

    def work(images: int) -> None:
        batches.append(images)
        if len(batches) == count:
            raise EnoughError

    with pytest.raises(EnoughError):
        chain.work_on(question, work)
    return batches


@pytest.fixture
def counters() -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        made = chain.new_counter(), chain.new_total()
        for each in made:
            stack.callback(os.close, each)
        yield made


def test_each_batch_is_taken_worked_on_and_passed_on(counters: tuple[int, int]) -> None:
    begun, done = counters
    chain.give(begun, 9)
    batches = work_until(2, chain.chained(begun, done, least=4, most=4))
    assert batches == [4, 4]
    # The second batch was taken, but is not done.
    assert os.eventfd_read(done) == 4
    assert os.eventfd_read(begun) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(done)


def test_what_is_there_is_a_batch_up_to_the_largest(counters: tuple[int, int]) -> None:
    begun, done = counters
    chain.give(begun, 11)
    assert work_until(3, chain.chained(begun, done, least=2, most=4)) == [4, 4, 3]
    assert os.eventfd_read(done) == 8


def test_one_image_at_a_time_is_what_is_done_unless_told_otherwise(
    counters: tuple[int, int],
) -> None:
    begun, done = counters
    chain.give(begun, 2)
    assert work_until(2, chain.chained(begun, done)) == [1, 1]


def test_what_an_event_loop_reads_is_all_that_is_done(counters: tuple[int, int]) -> None:
    _, done = counters
    chain.give(done, 8)
    chain.give(done, 4)
    assert os.eventfd_read(done) == 12
