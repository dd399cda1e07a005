"""From a record to the messages about it, and what is counted once they are delivered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from worker.budget import Reservation
from worker.contract.dead_letters import dead_letter_message, without_origin, without_value
from worker.contract.jobs import (
    Duplicate,
    Ending,
    Job,
    ModelIdentity,
    Outcome,
    Postponed,
    RawImage,
    Success,
)
from worker.contract.parsing import parse_job, recover_job_id
from worker.contract.records import Record
from worker.contract.results import result_message, without_copies, without_picture
from worker.contract.traces import trace_header
from worker.errors import Failure, JobError, Reason, Stage
from worker.kafka.broker_errors import Refused
from worker.kafka.duplicates import Duplicates
from worker.kafka.outgoing import Outgoing
from worker.kafka.retry_topics import RetryTopics
from worker.metrics import Metrics
from worker.metrics.exemplars import exemplar
from worker.offload import Offload
from worker.settings import KafkaSettings
from worker.settings.durations import duration_label

__all__ = ["RecordProcessor"]

RESULT_TOO_LARGE = Failure(
    Reason.TOO_LARGE,
    "the answer is too large for the results topic, even without its picture and the record's key "
    "and headers: ask for a smaller topK, or raise the topic's max.message.bytes",
    Stage.PUBLISH,
)

log = structlog.get_logger(__name__)


class RecordProcessor:
    """Runs the jobs of records and makes results and dead letters of their outcomes.

    Args:
        identify: says which model serves now, which results without one of their own name.
        run_job: computes the outcome of a job; raises nothing that a job is to blame for.
        settings: name the topics that the messages go to.
        retries: says which jobs are tried again later; none are, by default.
        duplicates: finds jobs that were sent twice; without it each is done.
    """

    def __init__(
        self,
        identify: Callable[[], ModelIdentity],
        run_job: Callable[[Job, Reservation], Awaitable[Outcome]],
        settings: KafkaSettings,
        metrics: Metrics,
        *,
        retries: RetryTopics | None = None,
        duplicates: Duplicates | None = None,
    ) -> None:
        self._retries = retries or RetryTopics({})
        self._duplicates = duplicates
        self._identify = identify
        self._run_job = run_job
        self._settings = settings
        self._metrics = metrics
        self._done = metrics.jobs.labels("success", "ok")
        # Bound once: otherwise each line looks up the configuration, even if it is not written.
        self._log = log.bind()
        self._offload = Offload()

    async def process(self, record: Record, held: Reservation) -> tuple[Ending, Sequence[Outgoing]]:
        """Run a record's job.

        Args:
            record: as it was read, from the jobs topic or from a retry topic.
            held: accounts for the bytes that the job holds meanwhile.

        Returns:
            What became of the job, and the messages to publish: a result, and for a failure a dead
            letter too; or a record for a retry topic; or none, for a duplicate.
        """
        first, tried = self._retries.first_record(record)
        outcome: Outcome
        deadline = None
        try:
            job = await self._offload.run(partial(parse_job, first), first.size, held)
        except JobError as error:
            # Parses the whole value again: only refused records pay for that, and only once.
            recover = partial(recover_job_id, first)
            job_id = await self._offload.run(recover, first.size, held)
            outcome = error.as_failure()
        else:
            job_id, deadline = job.job_id, job.deadline
            if not (isinstance(job.image, RawImage) and job.image.data is first.value):
                # A copy: the record itself is kept for its dead letter.
                held.add(job.image.nbytes)
            if (
                self._duplicates
                and job_id
                and not await self._duplicates.claim(record, first, job_id)
            ):
                return Duplicate(job_id), ()
            outcome = await self._run_job(job, held)
        if isinstance(outcome, Failure):
            if tried:
                outcome = replace(outcome, attempts=outcome.attempts + tried)
            again = self._retries.postpone(record, first, outcome, job_id, deadline)
            if again is not None:
                return again[0], (again[1],)
        return outcome, self._messages(first, job_id, outcome)

    def reject(
        self, record: Record, refused: Refused, ending: Success | Postponed
    ) -> tuple[Outcome, Sequence[Outgoing]]:
        """Fail a record because a topic refuses its result, or its retry, in every form.

        Args:
            refused: why the topic refuses it.
            ending: what would have become of the record.

        Returns:
            The failure, and the messages to publish instead. For a result: a dead letter, and a
            small result if the size of the first one was the cause. For a retry: those of the
            failure that was to be tried again.
        """
        first, _ = self._retries.first_record(record)
        if isinstance(ending, Postponed):
            log.warning(
                "retry_refused",
                topic=refused.topic,
                record=record.id,
                code=refused.code,
                reason=refused.name,
            )
            return ending.failure, self._messages(first, ending.job_id, ending.failure)
        job_id = recover_job_id(first)
        if refused.too_large:
            return RESULT_TOO_LARGE, self._messages(first, job_id, RESULT_TOO_LARGE)
        # The topic would refuse a result that says so as well.
        failure = Failure(
            Reason.RESULT_REFUSED,
            f"the results topic refuses the job's result for good ({refused.name}, code "
            f"{refused.code}): a compacted topic wants a key, others may enforce a schema",
            Stage.PUBLISH,
        )
        return failure, [self._dead_letter(first, job_id, failure)]

    def finish(self, record: Record, ending: Ending, refused: Sequence[Refused]) -> None:
        """Count a record whose messages are delivered, and log it at debug level.

        Args:
            refused: those of its messages that their topics refused in every form.
        """
        first, _ = self._retries.first_record(record)
        if self._duplicates:
            self._duplicates.finish(first, answered=isinstance(ending, Success))
        if isinstance(ending, Duplicate):
            self._metrics.duplicates.inc()
            self._log.debug("duplicate_dropped", record=first.id, job_id=ending.job_id)
        elif isinstance(ending, Postponed):
            failure = ending.failure
            self._metrics.retries.labels(duration_label(ending.delay), failure.reason.label).inc()
            self._log.debug(
                "job_postponed",
                record=first.id,
                seconds=ending.delay,
                reason=failure.reason.label,
                message=failure.message,
            )
        else:
            self._count(first, ending, refused)

    def _count(self, record: Record, outcome: Outcome, refused: Sequence[Refused]) -> None:
        metrics = self._metrics
        if record.timestamp_ms >= 0:
            seconds = max(0.0, time.time() - record.timestamp_ms / 1000)
            metrics.latency.observe(seconds, exemplar(trace_header(record.headers)))
        if isinstance(outcome, Failure):
            metrics.jobs.labels("failure", outcome.reason.label).inc()
            if all(one.topic != self._settings.dead_letters_topic for one in refused):
                metrics.dead_letters.labels(outcome.stage.value, outcome.reason.label).inc()
            self._log.debug(
                "job_failed",
                record=record.id,
                reason=outcome.reason.label,
                stage=outcome.stage.value,
                message=outcome.message,
            )
        else:
            self._done.inc()
            best = outcome.best
            self._log.debug(
                "job_done",
                record=record.id,
                label=None if best is None else best.name,
                score=None if best is None else best.score,
            )

    def _messages(self, record: Record, job_id: str | None, outcome: Outcome) -> Sequence[Outgoing]:
        topics = self._settings
        computed_by = outcome.model if isinstance(outcome, Success) else None
        result = result_message(record, job_id, outcome, computed_by or self._identify())
        messages = [Outgoing(topics.results_topic, result, (without_picture, without_copies))]
        if isinstance(outcome, Failure):
            messages.append(self._dead_letter(record, job_id, outcome))
        return messages

    def _dead_letter(self, record: Record, job_id: str | None, failure: Failure) -> Outgoing:
        letter = dead_letter_message(record, job_id, failure, self._identify().name)
        topic = self._settings.dead_letters_topic
        return Outgoing(topic, letter, (without_value, without_origin))
