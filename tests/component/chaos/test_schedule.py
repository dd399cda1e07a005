"""The schedule of faults: a pure function of the seed, so that a failure can be repeated."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from chaos.jobs import make_drafts
from chaos.schedule import FIRST_SHARE, LAST_SHARE, Kind, make_schedule


def test_a_seed_gives_one_schedule_on_every_machine() -> None:
    # Changes whenever what is drawn changes: seeds of earlier failures mean others from then on.
    text = repr(make_schedule(7, 5000, 40)).encode()
    assert hashlib.sha256(text).hexdigest()[:16] == "c2fa2ffc802dde24"
    text = repr(list(make_drafts(7, 500))).encode()
    assert hashlib.sha256(text).hexdigest()[:16] == "024fcba723e3b2d3"


def test_seeds_differ() -> None:
    assert make_schedule(1, 5000, 40) != make_schedule(2, 5000, 40)
    assert list(make_drafts(1, 100)) != list(make_drafts(2, 100))


@pytest.mark.parametrize("faults", [20, 60, 200])
def test_every_kind_of_fault_is_there_if_there_are_enough(faults: int) -> None:
    schedule = make_schedule(3, 50_000, faults)
    kinds = Counter(fault.kind for fault in schedule)
    assert len(schedule) == faults
    assert set(kinds) == set(Kind)
    assert kinds[Kind.MORE_PARTITIONS] <= 6
    assert kinds[Kind.TOPIC_RECREATED] <= 3


def test_faults_come_in_order_and_leave_both_ends_quiet() -> None:
    places = [fault.at for fault in make_schedule(4, 10_000, 100)]
    assert places == sorted(places)
    assert places[0] >= FIRST_SHARE * 10_000
    assert places[-1] <= LAST_SHARE * 10_000


def test_only_the_chosen_kinds_are_drawn() -> None:
    chosen = (Kind.BROKER_KILL, Kind.MORE_PARTITIONS)
    schedule = make_schedule(5, 1000, 50, chosen)
    assert {fault.kind for fault in schedule} == set(chosen)
    assert len(schedule) == 50
    # What leaves traces for the rest of the run happens a few times, whatever was asked for.
    assert len(make_schedule(5, 1000, 50, (Kind.MORE_PARTITIONS,))) == 6


def test_every_job_has_an_id_of_its_own() -> None:
    assert len({draft.job_id for draft in make_drafts(6, 3000)}) == 3000


def test_every_kind_of_fault_says_what_it_does() -> None:
    assert all(kind.meaning for kind in Kind)
