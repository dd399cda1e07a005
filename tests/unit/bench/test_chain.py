"""Processes in a chain work on as many images as they are told, in whole batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from worker.bench import chain


class EnoughError(Exception):
    """There is no more to do in this test."""


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
    batches = []

    def work() -> None:
        batches.append(4)
        if len(batches) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        chain.work_on(chain.chained(begun, done), 4, work)
    # The second batch was taken, but is not done.
    assert os.eventfd_read(done) == 4
    assert os.eventfd_read(begun) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(done)


def test_what_an_event_loop_reads_is_all_that_is_done(counters: tuple[int, int]) -> None:
    _, done = counters
    chain.give(done, 8)
    chain.give(done, 4)
    assert os.eventfd_read(done) == 12
