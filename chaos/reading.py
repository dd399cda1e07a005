"""Reads back, after a run, everything that the checker looks at."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import ConsumerRecord

from chaos.history import Commit, History, Job, Outcome, Sample
from chaos.offsets import read_commit
from chaos.options import Options
from chaos.topics import (
    DEAD_LETTERS,
    GROUP,
    JOBS,
    OUTPUT_PARTITIONS,
    RESULTS,
    Topics,
)
from chaos.traffic import Traffic, job_id_of
from worker.contract.headers import (
    DEAD_LETTER_CODE,
    DEAD_LETTER_PREFIX,
    DEAD_LETTER_STAGE,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
)
from worker.contract.results import read_result

__all__ = ["read_history"]

_OFFSETS_TOPIC = "__consumer_offsets"


async def read_history(
    options: Options,
    topics: Topics,
    traffic: Traffic,
    samples: Sequence[Sample],
    crashes: Sequence[str],
) -> History:
    """Read all topics, as `read_committed` consumers get them.

    Returns:
        The run's history.
    """
    present = await topics.read(JOBS, topics.partitions)
    outcomes = [
        *(_result(each) for each in await topics.read(RESULTS, OUTPUT_PARTITIONS)),
        *(_letter(each) for each in await topics.read(DEAD_LETTERS, OUTPUT_PARTITIONS)),
    ]
    commits = [
        Commit(committed[2], committed[3], record.timestamp)
        for record in await topics.read(_OFFSETS_TOPIC, 1)
        if (committed := read_commit(record.key, record.value)) is not None
        and committed[:2] == (GROUP, JOBS)
    ]
    jobs = dict(traffic.sent)
    for record in present:
        job_id = job_id_of(record)
        if job_id in traffic.unsure:
            place = (topics.birth, record.partition, record.offset)
            jobs[job_id] = Job(job_id, *traffic.unsure[job_id], *place)
    return History(
        once=options.once,
        ordered=options.once or options.ordered,
        jobs=list(jobs.values()),
        outcomes=outcomes,
        commits=commits,
        removals=topics.removals,
        samples=samples,
        crashes=crashes,
        births_ms=topics.births_ms,
        unsure=traffic.unsure.keys() - jobs.keys(),
        ends=await topics.ends(),
    )


def _result(record: ConsumerRecord[bytes, bytes]) -> Outcome:
    return _outcome(record, letter=False, prefix="", code=read_result(record.value).code)


def _letter(record: ConsumerRecord[bytes, bytes]) -> Outcome:
    code = int(dict(record.headers)[DEAD_LETTER_CODE])
    return _outcome(record, letter=True, prefix=DEAD_LETTER_PREFIX, code=code)


def _outcome(
    record: ConsumerRecord[bytes, bytes], *, letter: bool, prefix: str, code: int
) -> Outcome:
    headers = dict(record.headers)
    return Outcome(
        job_id=job_id_of(record),
        letter=letter,
        code=code,
        stage=headers[DEAD_LETTER_STAGE].decode() if letter else "",
        partition=record.partition,
        offset=record.offset,
        source_partition=int(headers[prefix + SOURCE_PARTITION]),
        source_offset=int(headers[prefix + SOURCE_OFFSET]),
        at_ms=record.timestamp,
    )
