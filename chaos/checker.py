"""Judges a run by its history alone: pure functions, which find what was lost, doubled or early."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chaos.history import Commit, History, Job, Outcome, Removal, Way
from chaos.resources import Held, held

__all__ = ["Breach", "Broken", "Findings", "check"]

REFUSED = 422
"""The code of an image that cannot be used."""

IMAGE_STAGES = ("decode", "draw")
"""Where image processes work."""

TRIES = 2
"""How often an image is tried whose process ends."""

NEVER = 1 << 62
"""Later than every moment of a run, in milliseconds."""


class Broken(StrEnum):
    """The promises that can be broken."""

    LOST = "a job without an outcome"
    DOUBLED = "an outcome twice under exactly once"
    EARLY_COMMIT = "a commit beyond a job without an outcome"
    UNCOMMITTED = "an answered job that was never committed"
    DISORDER = "results out of order"
    WRONG = "an outcome that the job does not explain"
    UNKNOWN = "an outcome without a job"
    CRASH = "a worker that ended by itself, or not as it was told"
    GROWTH = "memory or descriptors that grow"


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was broken, and where."""

    promise: Broken
    detail: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The checker's figures and what is wrong.

    Attributes:
        jobs: records in the jobs topic, those included that a fault removed.
        answered: jobs with an outcome.
        failed: jobs whose first result is an error.
        doubled: results beyond the first of a job.
        removed: jobs that a fault removed, and that have no outcome.
        unlucky: jobs whose image was refused since faults ended its process twice.
        commits: offsets that were committed.
        survivors: what the workers held that lived through all faults.
        breaches: nothing if every promise was kept.
    """

    jobs: int
    answered: int
    failed: int
    doubled: int
    removed: int
    unlucky: int
    commits: int
    survivors: tuple[Held, ...]
    breaches: tuple[Breach, ...]


def check(history: History) -> Findings:
    """Check every promise.

    Returns:
        Figures and breaches; the same for the same history.
    """
    results, letters = _by_job(history, letter=False), _by_job(history, letter=True)
    removed = {job.job_id: removal for job in history.jobs if (removal := _removal(history, job))}
    settled = {
        job.job_id: _settled_at(results[job.job_id], letters[job.job_id]) for job in history.jobs
    }
    unlucky = _unlucky(history, results, letters)
    survivors = held(history.samples)
    breaches = [
        *_lost(history, settled, removed),
        *_doubled(history, results, letters),
        *_early_commits(history, settled, removed),
        *_uncommitted(history),
        *_disorder(history),
        *_wrong(history, results, letters, unlucky),
        *_unknown(history),
        *(Breach(Broken.CRASH, detail) for detail in history.crashes),
        *(Breach(Broken.GROWTH, str(each)) for each in survivors if each.grown),
    ]
    return Findings(
        jobs=len(history.jobs),
        answered=sum(at != NEVER for at in settled.values()),
        failed=sum(bool(found) and found[0].code != 0 for found in results.values()),
        doubled=sum(max(0, len(found) - 1) for found in results.values()),
        removed=sum(settled[job_id] == NEVER for job_id in removed),
        unlucky=len(unlucky),
        commits=len(history.commits),
        survivors=tuple(survivors),
        breaches=tuple(breaches),
    )


def _by_job(history: History, *, letter: bool) -> defaultdict[str, list[Outcome]]:
    """The outcomes of each job, first to last."""
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in sorted(history.outcomes, key=lambda each: each.at_ms):
        if outcome.letter == letter:
            found[outcome.job_id].append(outcome)
    return found


def _removal(history: History, job: Job) -> Removal | None:
    return next((removal for removal in history.removals if removal.holds(job)), None)


def _settled_at(results: list[Outcome], letters: list[Outcome]) -> int:
    """When a job had its outcome: a result and, if that is an error, the dead letter too."""
    moments = [result.at_ms for result in results[:1] if result.code == 0]
    if not moments and results and letters:
        moments = [max(results[0].at_ms, letters[0].at_ms)]
    # A later delivery may have succeeded where the first one was cut off between its two messages.
    moments += [result.at_ms for result in results if result.code == 0][:1]
    return min(moments, default=NEVER)


def _lost(
    history: History, settled: dict[str, int], removed: dict[str, Removal]
) -> Iterator[Breach]:
    for job in history.jobs:
        if settled[job.job_id] == NEVER and job.job_id not in removed:
            yield Breach(Broken.LOST, _place(job))


def _doubled(
    history: History, results: dict[str, list[Outcome]], letters: dict[str, list[Outcome]]
) -> Iterator[Breach]:
    if not history.once:
        return
    for found in itertools.chain(results.values(), letters.values()):
        if len(found) > 1:
            what = "dead letters" if found[0].letter else "results"
            where = ", ".join(f"{each.partition}:{each.offset}" for each in found)
            yield Breach(Broken.DOUBLED, f"{found[0].job_id}: {len(found)} {what}, at {where}")


def _early_commits(
    history: History, settled: dict[str, int], removed: dict[str, Removal]
) -> Iterator[Breach]:
    """Each commit against the moment at which the last job before it had its outcome.

    Both moments are those of appends by the leaders, on one machine's clock. A job that a fault
    removed counts as settled from that fault on. Jobs that had not been sent by then do not count:
    an offset of a topic that was deleted may be committed once more for the topic of the same name.
    """
    offsets: dict[tuple[int, int], list[int]] = {}
    sent: dict[tuple[int, int], list[int]] = {}
    latest: dict[tuple[int, int], list[int]] = {}
    jobs = defaultdict(list)
    for job in history.jobs:
        jobs[job.birth, job.partition].append(job)
    for key, members in jobs.items():
        members.sort(key=lambda job: job.offset)
        moments = (
            min(settled[job.job_id], removed[job.job_id].at_ms)
            if job.job_id in removed
            else settled[job.job_id]
            for job in members
        )
        offsets[key] = [job.offset for job in members]
        # The earliest of those from here on: one is counted too early rather than too late.
        backwards = itertools.accumulate((job.sent_ms for job in reversed(members)), min)
        sent[key] = [*backwards][::-1]
        latest[key] = list(itertools.accumulate(moments, max))
    for commit in history.commits:
        key = (_birth(history, commit), commit.partition)
        before = min(
            bisect.bisect_left(offsets.get(key, []), commit.offset),
            bisect.bisect_right(sent.get(key, []), commit.at_ms),
        )
        if before and latest[key][before - 1] > commit.at_ms:
            yield Breach(
                Broken.EARLY_COMMIT,
                f"partition {commit.partition} of topic {key[0]}: {commit.offset} was committed "
                f"at {commit.at_ms}, " + _late(latest[key][before - 1], commit.at_ms),
            )


def _late(moment: int, committed: int) -> str:
    if moment == NEVER:
        return "and a job before it has no outcome"
    return f"and a job before it had its outcome {moment - committed} ms later"


def _birth(history: History, commit: Commit) -> int:
    return bisect.bisect_right(history.births_ms, commit.at_ms) - 1


def _uncommitted(history: History) -> Iterator[Breach]:
    last = len(history.births_ms) - 1
    committed: dict[int, int] = {}
    for commit in history.commits:
        if _birth(history, commit) == last:
            committed[commit.partition] = commit.offset
    for partition, end in history.ends.items():
        if (at := committed.get(partition, 0)) != end:
            yield Breach(
                Broken.UNCOMMITTED,
                f"partition {partition}: {at} is committed, and the partition ends at {end}",
            )


def _disorder(history: History) -> Iterator[Breach]:
    """Compare first results, the earliest of each job, with the order of the jobs.

    Results that come again, at least once, begin again where the group's offset was: they follow
    the first ones, and go back. Two workers that both send from there on, since one of them was
    suspended, keep the order of first results: each of them sends in order.
    """
    if not history.ordered:
        return
    first: dict[str, Outcome] = {}
    births = {job.job_id: job.birth for job in history.jobs}
    last: dict[tuple[int, int, int], Outcome] = {}
    results = (each for each in history.outcomes if not each.letter)
    for result in sorted(results, key=lambda each: (each.at_ms, each.partition, each.offset)):
        first.setdefault(result.job_id, result)
    for result in sorted(first.values(), key=lambda each: (each.partition, each.offset)):
        if result.job_id not in births:
            continue
        key = (result.partition, births[result.job_id], result.source_partition)
        earlier = last.get(key)
        if earlier is not None and earlier.source_offset > result.source_offset:
            yield Breach(
                Broken.DISORDER,
                f"partition {result.partition} of the results: the one of job "
                f"{result.source_partition}:{result.source_offset} comes after that of "
                f"{earlier.source_partition}:{earlier.source_offset}",
            )
        last[key] = result


def _unlucky(
    history: History, results: dict[str, list[Outcome]], letters: dict[str, list[Outcome]]
) -> set[str]:
    """Find good images that faults explain the refusal of.

    An image whose process ends is tried once more, and refused if that one ends, too: a worker
    cannot tell who ended them. So two image processes of one worker must have been hit between the
    job's sending and its answer. A process that is hit is in one call at most: each hit counts for
    one job.

    Returns:
        The ids of these jobs.
    """
    left: defaultdict[int, list[int]] = defaultdict(list)
    for hit in sorted(history.hits, key=lambda each: each.at_ms):
        left[hit.worker].append(hit.at_ms)
    refused = [
        (result.at_ms, job)
        for job in history.jobs
        if job.way is not Way.BROKEN
        for result in results.get(job.job_id, [])
        if result.code == REFUSED and _of_images(letters.get(job.job_id, []))
    ]
    unlucky, others = set(), set()
    for at_ms, job in sorted(refused, key=lambda each: each[0]):
        for hits in left.values():
            during = [moment for moment in hits if job.sent_ms <= moment <= at_ms][:TRIES]
            if len(during) == TRIES:
                for moment in during:
                    hits.remove(moment)
                unlucky.add(job.job_id)
                break
        else:
            others.add(job.job_id)
    return unlucky - others


def _of_images(letters: list[Outcome]) -> bool:
    return all(letter.stage in IMAGE_STAGES for letter in letters)


def _wrong(
    history: History,
    results: dict[str, list[Outcome]],
    letters: dict[str, list[Outcome]],
    unlucky: set[str],
) -> Iterator[Breach]:
    """What a job's outcome may be: its image decides, and a bad host for an image at a URL."""
    for job in history.jobs:
        excused = job.job_id in unlucky
        for result in results.get(job.job_id, []):
            if job.way is Way.BROKEN:
                fits = 400 <= result.code < 500
            else:
                fits = result.code == 0 or job.way is Way.URL
                fits = fits or (excused and result.code == REFUSED)
            if not fits:
                yield Breach(Broken.WRONG, f"{_place(job)}: {job.way} with code {result.code}")
        for letter in letters.get(job.job_id, []):
            stage = {Way.BROKEN: "decode", Way.URL: "fetch"}.get(job.way)
            if letter.stage != stage and not (excused and letter.stage in IMAGE_STAGES):
                yield Breach(
                    Broken.WRONG,
                    f"{_place(job)}: {job.way} with a dead letter of stage {letter.stage}, code "
                    f"{letter.code}",
                )


def _unknown(history: History) -> Iterator[Breach]:
    known = {job.job_id for job in history.jobs} | set(history.unsure)
    for job_id in sorted({outcome.job_id for outcome in history.outcomes} - known):
        yield Breach(Broken.UNKNOWN, repr(job_id))


def _place(job: Job) -> str:
    birth = f" of topic {job.birth}" if job.birth else ""
    return f"{job.job_id} at {job.partition}:{job.offset}{birth}"
