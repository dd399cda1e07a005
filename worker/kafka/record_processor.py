"""Records and their answers: what is published about each, and what is counted once it is."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from worker.aside import Aside
from worker.budget import Reservation
from worker.contract.jobs import Job, ModelIdentity, Outcome, RawImage, Record
from worker.contract.messages import (
    dead_letter_message,
    result_message,
    without_copies,
    without_origin,
    without_picture,
    without_value,
)
from worker.contract.parsing import parse_job, recover_job_id
from worker.errors import Failure, JobError, Reason, Stage
from worker.kafka.publisher import Outgoing
from worker.kafka.refusals import Refused
from worker.metrics import Metrics
from worker.settings import KafkaSettings

__all__ = ["RecordProcessor"]

NO_ROOM = Failure(
    Reason.TOO_LARGE,
    "the answer is too large for the results topic, even without its picture and the record's key "
    "and headers: ask for a smaller topK, or raise the topic's max.message.bytes",
    Stage.PUBLISH,
)

log = structlog.get_logger(__name__)


class RecordProcessor:
    """Takes records through the pipeline and makes the messages that tell of them.

    Args:
        identify: says which model computes, as results name it.
        process: the pipeline.
        settings: with the topics that the messages go to.
    """

    def __init__(
        self,
        identify: Callable[[], ModelIdentity],
        process: Callable[[Job, Reservation], Awaitable[Outcome]],
        settings: KafkaSettings,
        metrics: Metrics,
    ) -> None:
        self._identify = identify
        self._process = process
        self._settings = settings
        self._metrics = metrics
        self._aside = Aside()

    async def answer(self, record: Record, held: Reservation) -> tuple[Outcome, Sequence[Outgoing]]:
        """What became of a record, and its messages: the result, after a failure a dead letter too.

        Args:
            held: accounts for the bytes that the job holds on its way.
        """
        outcome: Outcome
        try:
            job = await self._aside.run(partial(parse_job, record), record.size, held)
        except JobError as error:
            # A second look at the whole value, which only what is refused pays for, and but once.
            recover = partial(recover_job_id, record)
            job_id = await self._aside.run(recover, record.size, held)
            outcome = error.as_failure()
        else:
            job_id = job.job_id
            if not isinstance(job.image, RawImage):
                # A copy: the record itself is kept for its dead letter.
                held.add(job.image.nbytes)
            outcome = await self._process(job, held)
        return outcome, self._messages(record, job_id, outcome)

    def refuse(self, record: Record, refused: Refused) -> tuple[Outcome, Sequence[Outgoing]]:
        """What to say instead of an answer that its topic does not take."""
        job_id = recover_job_id(record)
        if refused.too_large:
            return NO_ROOM, self._messages(record, job_id, NO_ROOM)
        # The topic would refuse a result that says so, too.
        failure = Failure(
            Reason.RESULT_REFUSED,
            f"the results topic refuses the job's result for good ({refused.name}, code "
            f"{refused.code}): a compacted topic wants a key, others may enforce a schema",
            Stage.PUBLISH,
        )
        return failure, [self._letter(record, job_id, failure)]

    def _messages(self, record: Record, job_id: str | None, outcome: Outcome) -> Sequence[Outgoing]:
        topics = self._settings
        result = result_message(record, job_id, outcome, self._identify())
        messages = [Outgoing(topics.results_topic, result, (without_picture, without_copies))]
        if isinstance(outcome, Failure):
            messages.append(self._letter(record, job_id, outcome))
        return messages

    def _letter(self, record: Record, job_id: str | None, failure: Failure) -> Outgoing:
        letter = dead_letter_message(record, job_id, failure)
        topic = self._settings.dead_letters_topic
        return Outgoing(topic, letter, (without_value, without_origin))

    def delivered(self, record: Record, outcome: Outcome, refused: Sequence[Refused]) -> None:
        """Metrics and, at debug level, the one log line of a record that is done with.

        Args:
            refused: those of its messages that are lost.
        """
        metrics = self._metrics
        if record.timestamp_ms >= 0:
            metrics.latency.observe(max(0.0, time.time() - record.timestamp_ms / 1000))
        if isinstance(outcome, Failure):
            metrics.jobs.labels("failure", outcome.reason.label).inc()
            if all(one.topic != self._settings.dead_letters_topic for one in refused):
                metrics.dead_letters.labels(outcome.stage.value, outcome.reason.label).inc()
            log.debug(
                "job_failed",
                record=record.id,
                reason=outcome.reason.label,
                stage=outcome.stage.value,
                message=outcome.message,
            )
        else:
            metrics.jobs.labels("success", "ok").inc()
            best = outcome.best
            log.debug(
                "job_done",
                record=record.id,
                label=None if best is None else best.name,
                score=None if best is None else best.score,
            )
