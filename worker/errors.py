"""Every exception of the project, and the closed list of reasons for which one job can fail.

There are two kinds. A fault of *one job* is a `JobError`: raised where it is found, turned into a
`Failure` value at the stage boundary, published to the producer and dead-lettered. A fault of *the
worker or its surroundings* is any other `WorkerError`: no job is blamed for it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = [
    "TRANSIENT_REASONS",
    "DatasetError",
    "ExportError",
    "Failure",
    "JobError",
    "KafkaSetupError",
    "ModelError",
    "ParityError",
    "PredictorCrashedError",
    "PredictorError",
    "PredictorTimeoutError",
    "Reason",
    "SettingsError",
    "Stage",
    "TrainingError",
    "UnfitSystemError",
    "WorkerError",
]


class Stage(enum.StrEnum):
    """The stages of the data path, in order. The values are metric labels and header values."""

    PARSE = "parse"
    FETCH = "fetch"
    DECODE = "decode"
    INFER = "infer"
    DRAW = "draw"
    PUBLISH = "publish"


class Reason(enum.Enum):
    """Why a job failed: a closed set, so that it can be a metric label.

    Each member is `(label, stage, HTTP status)`; the status is the result's `errorCode`.
    """

    UNREADABLE = ("unreadable", Stage.PARSE, 400)
    NULL_VALUE = ("null_value", Stage.PARSE, 400)
    EMPTY_VALUE = ("empty_value", Stage.PARSE, 400)
    NOT_UTF8 = ("not_utf8", Stage.PARSE, 400)
    NOT_JSON = ("not_json", Stage.PARSE, 400)
    NOT_OBJECT = ("not_object", Stage.PARSE, 400)
    MISSING_FIELD = ("missing_field", Stage.PARSE, 422)
    WRONG_FIELD = ("wrong_field", Stage.PARSE, 422)
    CONTENT_TYPE = ("content_type", Stage.PARSE, 415)
    REQUEST_TIMEOUT = ("request_timeout", Stage.PARSE, 408)
    BAD_BASE64 = ("bad_base64", Stage.FETCH, 400)
    BAD_URL = ("bad_url", Stage.FETCH, 400)
    FORBIDDEN_URL = ("forbidden_url", Stage.FETCH, 403)
    NOT_FOUND = ("not_found", Stage.FETCH, 404)
    FETCH_REFUSED = ("fetch_refused", Stage.FETCH, 424)
    FETCH_FAILED = ("fetch_failed", Stage.FETCH, 502)
    FETCH_TIMEOUT = ("fetch_timeout", Stage.FETCH, 504)
    TOO_LARGE = ("too_large", Stage.FETCH, 413)
    NOT_AN_IMAGE = ("not_an_image", Stage.DECODE, 415)
    TOO_MANY_PIXELS = ("too_many_pixels", Stage.DECODE, 413)
    CORRUPT_IMAGE = ("corrupt_image", Stage.DECODE, 422)
    DEADLINE_EXCEEDED = ("deadline_exceeded", Stage.INFER, 504)
    POISON = ("poison", Stage.INFER, 500)
    UNAVAILABLE = ("unavailable", Stage.INFER, 503)
    INTERNAL = ("internal", Stage.INFER, 500)
    RESULT_REFUSED = ("result_refused", Stage.PUBLISH, 500)

    def __init__(self, label: str, stage: Stage, status: int) -> None:
        self.label = label
        self.stage = stage
        self.status = status


TRANSIENT_REASONS = (Reason.FETCH_FAILED, Reason.FETCH_TIMEOUT, Reason.UNAVAILABLE)
"""The only reasons of which a failure may be transient; not each of theirs is (a certificate)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One job's failure as a value: it is published, dead-lettered and counted.

    Attributes:
        message: one sentence for the producer that says what to change.
        stage: where the job failed: the reason's usual stage, unless another one found it.
        attempts: how often the failing step was tried, at least 1.
        transient: trying again later may help.
    """

    reason: Reason
    message: str
    stage: Stage
    attempts: int = 1
    transient: bool = False

    @property
    def status(self) -> int:
        """The HTTP status of this failure, also the result's `errorCode`."""
        return self.reason.status


class WorkerError(Exception):
    """Base of all errors of this project.

    WorkerError
    ├── JobError                  one job is at fault; becomes a `Failure`
    ├── ClientError               a client's job has no result; see `worker.client.errors`
    ├── SettingsError             the configuration is at fault; the worker does not start
    ├── DatasetError              a data set is missing, in no known layout or contradicts itself
    ├── ExportError               a bundle for other devices cannot be made, or answers otherwise
    ├── KafkaSetupError           broker unreachable, topic missing, not authorised
    ├── ModelError                a model directory is missing, damaged or not supported
    │   └── ParityError           a backend does not answer it as plain Paddle does
    ├── PredictorError            the predictor raised an error for a batch
    │   ├── PredictorCrashedError its process died
    │   └── PredictorTimeoutError it did not answer in time and was killed
    ├── TrainingError             a model cannot be trained as asked, or came out wrong
    └── UnfitSystemError          a package needs what this system does not have
    """


@dataclass(eq=False)
class JobError(WorkerError):
    """One job cannot be done, for a reason that its producer can act on.

    Attributes:
        transient: trying again later may help (DNS, connect, 5xx, time-out).
    """

    reason: Reason
    message: str
    transient: bool = False
    attempts: int = field(default=1, kw_only=True)
    stage: Stage | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        return self.message

    def as_failure(self) -> Failure:
        """Turn the error into a value, for use outside the stage that raised it.

        Returns:
            The failure; its stage is that of the reason when the error names none.
        """
        stage = self.stage or self.reason.stage
        return Failure(self.reason, self.message, stage, self.attempts, self.transient)


class SettingsError(WorkerError):
    """A setting is missing, unknown or out of range; the message names it and the remedy."""


class DatasetError(WorkerError):
    """A data set cannot be used; the message names what is wrong with it and the remedy."""


class ExportError(WorkerError):
    """A bundle cannot be made as asked; the message says why and what to change."""


class KafkaSetupError(WorkerError):
    """Kafka cannot be used as configured; the message names the topic or address and the remedy."""


class ModelError(WorkerError):
    """A model cannot be loaded; the message names the file and what is wrong with it."""


class ParityError(ModelError):
    """A backend does not answer a model as plain Paddle does; the message says how it differs."""


class PredictorError(WorkerError):
    """The predictor could not answer a batch."""


class PredictorCrashedError(PredictorError):
    """The predictor process died (native crash, out of memory, kill)."""


class PredictorTimeoutError(PredictorError):
    """The predictor did not answer within `predictor.timeout` and was killed."""


class TrainingError(WorkerError):
    """A training cannot go on; the message names what is wrong and the remedy."""


class UnfitSystemError(WorkerError, ImportError):
    """A package cannot be loaded on this system; the message names what is missing and remedies."""
