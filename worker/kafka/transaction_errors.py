"""What an error in a transaction means. The transaction itself is over in any case.

aiokafka 0.14 wraps what it did not expect, so causes are looked at too. An epoch that the brokers
no longer accept arrives under several names: INVALID_PRODUCER_EPOCH from brokers that are asked in
old versions of the protocol, PRODUCER_FENCED from others.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from aiokafka.errors import BrokerResponseError, ProducerFenced

from worker.kafka.broker_errors import ErrorKind, classify

__all__ = ["Trouble", "causes", "judge"]


class Trouble(enum.Enum):
    """What is wrong with a producer of transactions.

    Attributes:
        FENCED: another producer with the same transactional id has started, or the brokers aborted
            the transaction for its age.
        FORBIDDEN: the brokers do not allow it now (rights); an operator can change that.
        FAILED: anything else, so a new producer may do better.
    """

    FENCED = enum.auto()
    FORBIDDEN = enum.auto()
    FAILED = enum.auto()


_FENCED_CODES = frozenset({47, 90})  # INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
_FORBIDDEN_CODES = frozenset({30})  # GROUP_AUTHORIZATION_FAILED; others by `classify`


def judge(error: BaseException) -> Trouble:
    """Classify what ended a transaction.

    Returns:
        What is wrong.
    """
    for cause in causes(error):
        if isinstance(cause, ProducerFenced):
            return Trouble.FENCED
        if isinstance(cause, BrokerResponseError):
            if cause.errno in _FENCED_CODES:
                return Trouble.FENCED
            if cause.errno in _FORBIDDEN_CODES or classify(cause) is ErrorKind.FORBIDDEN:
                return Trouble.FORBIDDEN
    return Trouble.FAILED


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Follow an error to what caused it.

    Yields:
        The error itself, then its cause, and so on.
    """
    while error is not None:
        yield error
        error = error.__cause__
