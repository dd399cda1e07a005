"""Which letters a filter means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.messages import FAILURE, RECORD
from worker.contract.dead_letters import dead_letter_message
from worker.contract.letters import read_letter
from worker.contract.records import Record
from worker.dead_letters.filters import Conditions, Filter, Place

MESSAGE = dead_letter_message(RECORD, "a-42", FAILURE, "PP-LCNet")
LETTER = read_letter(Record("dead", 1, 5, 2000, b"k\xff", b"x", MESSAGE.headers))
MATCHING = {
    "reason": "not_found",
    "stage": "fetch",
    "key": "k\\xff",
    "job": "a-42",
    "model": "PP-LCNet",
    "topic": "image-jobs",
}


@pytest.mark.parametrize("name", MATCHING)
def test_each_condition_needs_one_of_its_values(name: str) -> None:
    assert Conditions.of(None, **{name: ["other", MATCHING[name]]}).match(LETTER)
    assert not Conditions.of(None, **{name: ["other"]}).match(LETTER)


def test_all_conditions_count_together() -> None:
    every = {name: [value] for name, value in MATCHING.items()}
    assert Conditions.of(None, **every).match(LETTER)
    assert not Conditions.of(None, **every | {"model": ["other"]}).match(LETTER)
    assert not Conditions.of(2, **every).match(replace(LETTER, replays=2))
    assert Conditions.of(2, **every).match(replace(LETTER, replays=1))


@pytest.mark.parametrize(
    ("place", "there"),
    [
        (Place(), True),
        (Place(frozenset({1, 2})), True),
        (Place(frozenset({2})), False),
        (Place(offsets=(5, 5)), True),
        (Place(offsets=(6, 9)), False),
        (Place(since_ms=2000), True),
        (Place(since_ms=2001), False),
        (Place(until_ms=2001), True),
        (Place(until_ms=2000), False),
    ],
)
def test_place_and_time(place: Place, there: bool) -> None:
    assert Filter(place=place).match(LETTER) is there


def test_where_letters_can_be() -> None:
    bounds = {0: (10, 20), 1: (0, 5)}
    assert Place().ranges(bounds) == bounds
    assert Place(frozenset({0}), (12, 14)).ranges(bounds) == {0: (12, 15)}


def test_conditions_imply_what_is_no_narrower() -> None:
    of = Conditions.of
    assert of(None, reason=["a"]).imply(of())
    assert of(3, reason=["a"], stage=["s"]).imply(of(5, reason=["a", "b"]))
    assert not of(None, reason=["a"]).imply(of(5, reason=["a"]))
    assert not of(None, reason=["a", "b"]).imply(of(None, reason=["a"]))
    assert not of().imply(of(None, stage=["s"]))


def test_conditions_are_written_and_read() -> None:
    conditions = Conditions.of(5, job=["ü", "a"], reason=["x"])
    assert Conditions.read(conditions.written()) == conditions
    for unknown in ({"colour": ["red"]}, {"reason": "x"}, {"below": "x"}):
        with pytest.raises(ValueError, match=r"colour|reason|below"):
            Conditions.read(unknown)
