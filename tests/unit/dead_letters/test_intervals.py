"""Sets of offsets, against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dead_letters.intervals import Intervals

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12)


def offsets(pairs: list[tuple[int, int]]) -> set[int]:
    return {offset for start, length in pairs for offset in range(start, start + length)}


def intervals(pairs: list[tuple[int, int]]) -> Intervals:
    return Intervals((start, start + length) for start, length in pairs)


@given(PAIRS, PAIRS, st.integers(0, 70))
def test_it_is_the_set_of_its_offsets(
    one: list[tuple[int, int]], other: list[tuple[int, int]], begin: int
) -> None:
    made, more = intervals(one), intervals(other)
    assert {offset for offset in range(80) if offset in made} == offsets(one)
    united = made.united(more)
    assert {offset for offset in range(80) if offset in united} == offsets(one) | offsets(other)
    assert made.covers(more) == (offsets(other) <= offsets(one))
    rest = made.from_offset(begin)
    assert {n for n in range(80) if n in rest} == {n for n in offsets(one) if n >= begin}
    ends = [edge for pair in made.pairs for edge in pair]
    assert ends == sorted(set(ends)), "they neither overlap nor touch"
    assert Intervals.read(made.written(0), 0) == made


@pytest.mark.parametrize("text", ["x", "1", "1+", "1+0", "-1+2", "1+1,", "1+-3"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text of it
        Intervals.read(text, 0)
