"""Which calls are tried while no other is, and when one of them has the blame."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.errors import Stage
from worker.imaging.call import Call, DiedError, LostError
from worker.imaging.sole import Losses, SoleCalls


def call(number: int) -> Call:
    answer = asyncio.get_running_loop().create_future()
    return Call(number, Stage.DECODE, {}, b"", 1.0, answer, sole=True)


def test_a_call_is_tried_by_itself_before_it_has_the_blame() -> None:
    losses = Losses()
    found = [losses.sole]
    for _ in range(3):
        losses.note()
        found.append(losses.sole)
    assert found == [False, False, True, True]
    with pytest.raises(DiedError) as caught:
        losses.note()
    assert caught.value.cause == "parent"


async def test_one_begins_when_no_process_has_a_call_and_holds_all_others_until_it_ends() -> None:
    sole = SoleCalls()
    first, second = call(1), call(2)
    sole.add(first, None)
    sole.add(second, None)
    assert sole.next(quiet=False) is None
    assert sole.next(quiet=True) == (first, None)
    sole.begin()
    assert sole.next(quiet=False) is None
    assert list(sole) == [second]
    assert sole.next(quiet=True) == (second, None)
    sole.begin()
    held = []
    for quiet in (False, True):
        assert sole.next(quiet=quiet) is None
        held.append(sole.hold_others)
    assert held == [True, False], "until the last one ends"


async def test_what_nobody_waits_for_holds_no_others() -> None:
    sole = SoleCalls()
    withdrawn, again = call(1), call(2)
    sole.add(withdrawn, None)
    withdrawn.withdrawn = True
    assert sole.next(quiet=False) is None
    assert not sole.hold_others
    sole.add(again, None)
    sole.add_again(call(3))
    found = sole.next(quiet=True)
    assert found is not None
    assert found[0].number == 3, "what was not begun goes first"


async def test_a_picture_that_is_gone_is_not_drawn() -> None:
    sole = SoleCalls()
    drawing = call(1)
    sole.add(drawing, cast("Any", SimpleNamespace(closed=True)))
    assert sole.next(quiet=False) is None
    assert drawing.answer is not None
    assert isinstance(drawing.answer.exception(), LostError)
    assert not sole.hold_others
