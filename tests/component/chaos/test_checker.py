"""The checker can fail: a good history that is doctored in one place breaks one promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checker import Broken, check
from chaos.history import Commit, History, Hit, Job, Outcome, Removal, Sample, Way

JOBS = 6
MIB = 1 << 20


def job(number: int, way: Way = Way.RAW, birth: int = 0) -> Job:
    """The job with offset `number` in partition 0."""
    return Job(f"job-{birth}-{number}", way, -1000, birth, 0, number)


def result(of: Job, at_ms: int, code: int = 0) -> Outcome:
    return Outcome(of.job_id, False, code, "", 0, of.offset, of.partition, of.offset, at_ms)


def letter(of: Job, at_ms: int, stage: str = "decode") -> Outcome:
    return Outcome(of.job_id, True, 422, stage, 0, of.offset, of.partition, of.offset, at_ms)


def good(*, once: bool = True) -> History:
    """Six jobs, the fourth of which is no image; each is answered at 100 ms times its offset."""
    jobs = [job(number, Way.BROKEN if number == 3 else Way.RAW) for number in range(JOBS)]
    outcomes = [result(each, 100 * each.offset, 422 if each.offset == 3 else 0) for each in jobs]
    outcomes.append(letter(jobs[3], 300))
    commits = [Commit(0, 0, 0), Commit(0, 2, 120), Commit(0, 4, 300), Commit(0, 6, 510)]
    samples = [
        Sample(77, late, 200 * MIB + step, 40 + step) for late in (False, True) for step in range(5)
    ]
    return History(once, once, jobs, outcomes, commits, samples=samples, ends={0: JOBS})


def broken(history: History) -> list[Broken]:
    return [breach.promise for breach in check(history).breaches]


def test_a_good_history_breaks_nothing() -> None:
    findings = check(good())
    assert findings.breaches == ()
    assert (findings.jobs, findings.answered, findings.failed, findings.doubled) == (6, 6, 1, 0)
    assert (findings.removed, findings.commits) == (0, 4)


def lose_a_result(history: History) -> None:
    # Also of the commit that covers it.
    history.outcomes = [each for each in history.outcomes if each.source_offset != 5]


def lose_a_dead_letter(history: History) -> None:
    history.outcomes = [each for each in history.outcomes if not each.letter]


def double_a_result(history: History) -> None:
    history.outcomes = [*history.outcomes, replace(history.outcomes[1], partition=1)]


def double_a_dead_letter(history: History) -> None:
    history.outcomes = [*history.outcomes, replace(history.outcomes[-1], partition=1)]


def swap_two_results(history: History) -> None:
    first, second, *rest = history.outcomes
    history.outcomes = [replace(first, offset=1), replace(second, offset=0), *rest]


def commit_early(history: History) -> None:
    history.commits = [*history.commits[:-1], replace(history.commits[-1], at_ms=499)]


def commit_before_the_dead_letter(history: History) -> None:
    *results, dead = history.outcomes
    history.outcomes = [*results, replace(dead, at_ms=301)]


def forget_the_last_commit(history: History) -> None:
    history.commits = history.commits[:-1]


def fail_a_good_image(history: History) -> None:
    first, *rest = history.outcomes
    history.outcomes = [replace(first, code=500), *rest, letter(job(0), 0, "infer")]


def answer_nobody(history: History) -> None:
    history.outcomes = [*history.outcomes, result(job(99), 600)]


def crash(history: History) -> None:
    history.crashes = ["worker-1-3.log: the worker ended by itself (exit code 1)"]


def leak_memory(history: History) -> None:
    history.samples = [
        replace(each, memory=each.memory * 2) if each.late else each for each in history.samples
    ]


def leak_descriptors(history: History) -> None:
    history.samples = [
        replace(each, descriptors=each.descriptors + 20) if each.late else each
        for each in history.samples
    ]


@pytest.mark.parametrize(
    ("doctor", "found"),
    [
        (lose_a_result, [Broken.LOST, Broken.EARLY_COMMIT]),
        (lose_a_dead_letter, [Broken.LOST, Broken.EARLY_COMMIT, Broken.EARLY_COMMIT]),
        (double_a_result, [Broken.DOUBLED]),
        (double_a_dead_letter, [Broken.DOUBLED]),
        (swap_two_results, [Broken.DISORDER]),
        (commit_early, [Broken.EARLY_COMMIT]),
        (commit_before_the_dead_letter, [Broken.EARLY_COMMIT]),
        (forget_the_last_commit, [Broken.UNCOMMITTED]),
        (fail_a_good_image, [Broken.WRONG, Broken.WRONG]),
        (answer_nobody, [Broken.UNKNOWN]),
        (crash, [Broken.CRASH]),
        (leak_memory, [Broken.GROWTH]),
        (leak_descriptors, [Broken.GROWTH]),
    ],
)
def test_a_doctored_history_is_found_out(
    doctor: Callable[[History], None], found: list[Broken]
) -> None:
    history = good()
    doctor(history)
    assert broken(history) == found


@pytest.mark.parametrize("doctor", [double_a_result, double_a_dead_letter, swap_two_results])
def test_what_at_least_once_does_not_promise_is_not_asked_for(
    doctor: Callable[[History], None],
) -> None:
    history = good(once=False)
    doctor(history)
    assert broken(history) == []


def test_results_doubled_at_least_once_are_counted() -> None:
    history = good(once=False)
    double_a_result(history)
    assert check(history).doubled == 1


def removed(history: History, first: int, end: int, at_ms: int) -> History:
    history.removals = [Removal(0, 0, first, end, at_ms)]
    return history


def test_a_job_that_a_fault_removed_needs_no_outcome() -> None:
    history = removed(good(), 5, 6, 450)
    lose_a_result(history)
    assert broken(history) == []
    assert check(history).removed == 1


def test_a_removal_excuses_no_job_outside_it() -> None:
    history = removed(good(), 4, 5, 450)
    lose_a_result(history)
    assert broken(history) == [Broken.LOST, Broken.EARLY_COMMIT]


def test_a_removal_excuses_no_commit_before_it() -> None:
    history = removed(good(), 5, 6, 511)
    lose_a_result(history)
    assert broken(history) == [Broken.EARLY_COMMIT]


def test_a_removal_excuses_no_second_outcome() -> None:
    history = removed(good(), 0, 6, 0)
    double_a_result(history)
    assert broken(history) == [Broken.DOUBLED]


def test_offsets_of_a_topic_that_was_made_again_begin_again() -> None:
    history = good()
    again = job(0, birth=1)
    history.jobs = [*history.jobs, again]
    history.outcomes = [*history.outcomes, replace(result(again, 950), offset=99)]
    history.births_ms = [0, 900]
    history.ends = {0: 1}
    history.commits = [*history.commits, Commit(0, 1, 960)]
    assert broken(history) == []
    history.commits = [*history.commits[:-1], Commit(0, 1, 940), Commit(0, 1, 960)]
    assert broken(history) == [Broken.EARLY_COMMIT]


def test_a_commit_is_ahead_of_no_job_that_was_sent_later() -> None:
    history = good()
    early, late = (replace(each, sent_ms=50) for each in history.jobs[:2])
    history.jobs = [early, late, *(replace(each, sent_ms=150) for each in history.jobs[2:])]
    # Left over from a topic of the same name that was deleted.
    history.commits = [Commit(0, 900, 49), *history.commits]
    assert broken(history) == []
    history.commits = [Commit(0, 900, 50), *history.commits]
    assert broken(history) == [Broken.EARLY_COMMIT]


def test_a_delivery_cut_off_between_result_and_dead_letter_is_made_up_for_by_the_next() -> None:
    history = good(once=False)
    address = job(0, Way.URL)
    history.jobs = [address, *history.jobs[1:]]
    # The first delivery failed and wrote no dead letter; the second succeeded.
    failed, succeeded = result(address, 0, 504), replace(result(address, 50), offset=50)
    history.outcomes = [failed, succeeded, *history.outcomes[1:]]
    assert broken(history) == []
    history.commits = [Commit(0, 1, 49), *history.commits]
    assert broken(history) == [Broken.EARLY_COMMIT]


def test_a_job_that_was_never_acknowledged_may_have_an_outcome() -> None:
    history = good()
    answer_nobody(history)
    history.unsure = {"job-0-99"}
    assert broken(history) == []


def test_few_samples_say_nothing_about_growth() -> None:
    history = good()
    leak_memory(history)
    history.samples = [each for each in history.samples if not each.late][:2] + [
        each for each in history.samples if each.late
    ]
    assert broken(history) == []


def refused(*hits: Hit, stage: str = "decode") -> History:
    """A history in which the good image of job 4, sent at -1000 ms, was refused at 400 ms."""
    history = good()
    history.outcomes = [
        *(
            replace(each, code=422) if each.source_offset == 4 else each
            for each in history.outcomes
        ),
        letter(job(4), 400, stage),
    ]
    history.hits = hits
    return history


@pytest.mark.parametrize("stage", ["decode", "draw"])
def test_an_image_whose_process_faults_ended_twice_may_be_refused(stage: str) -> None:
    findings = check(refused(Hit(7, 100), Hit(8, 150), Hit(7, 399), stage=stage))
    assert findings.breaches == ()
    assert (findings.unlucky, findings.failed) == (1, 2)


@pytest.mark.parametrize(
    "hits",
    [
        pytest.param([], id="none"),
        pytest.param([Hit(7, 100)], id="once"),
        pytest.param([Hit(7, 100), Hit(8, 200)], id="of two workers"),
        pytest.param([Hit(7, 100), Hit(7, 401)], id="once afterwards"),
        pytest.param([Hit(7, -1001), Hit(7, 200)], id="once before it was sent"),
    ],
)
def test_an_image_whose_process_faults_did_not_end_twice_may_not(hits: list[Hit]) -> None:
    assert broken(refused(*hits)) == [Broken.WRONG, Broken.WRONG]


def test_another_stage_or_code_has_another_cause() -> None:
    hits = (Hit(7, 100), Hit(7, 200))
    assert broken(refused(*hits, stage="infer")) == [Broken.WRONG, Broken.WRONG]
    history = refused(*hits)
    history.outcomes = [
        replace(each, code=500) if each.code and not each.letter else each
        for each in history.outcomes
    ]
    assert broken(history) == [Broken.WRONG] * 3


def test_two_hits_explain_one_refusal() -> None:
    history = refused(Hit(7, 100), Hit(7, 200))
    history.outcomes = [
        *(
            replace(each, code=422) if each.source_offset == 5 else each
            for each in history.outcomes
        ),
        letter(job(5), 500),
    ]
    assert broken(history) == [Broken.WRONG, Broken.WRONG]
    history.hits = [*history.hits, Hit(7, 300), Hit(7, 450)]
    assert broken(history) == []


def test_the_first_result_of_a_job_is_the_earliest_in_whatever_partition() -> None:
    history = good(once=False)
    history.ordered = True
    # Answered again by the next owner, in a partition that is read before the others.
    again = [
        replace(result(job(number), 800 + number), partition=-1, offset=offset)
        for offset, number in enumerate((4, 1, 2))
    ]
    history.outcomes = [*again, *history.outcomes]
    assert broken(history) == []
    # Were these the first ones, they would be out of order.
    history.outcomes = [replace(each, at_ms=each.at_ms - 900) for each in again] + [
        *history.outcomes[len(again) :]
    ]
    assert broken(history) == [Broken.DISORDER]
