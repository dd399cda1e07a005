"""What a broker's error means for a message: whether to send it again.

aiokafka 0.14 knows only one error code above 72 and calls the others "unknown", which hides why a
message was refused and whether another attempt can help. `name_all_codes` adds the rest.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    MessageSizeTooLargeError,
    kafka_errors,
)

__all__ = ["TOO_LARGE", "ErrorKind", "Refused", "classify", "code_of", "name_all_codes", "name_of"]

# As in org.apache.kafka.common.protocol.Errors (4.3): code, name, and whether the same request may
# succeed later. Only codes that producers and consumers get.
_LATER_CODES: tuple[tuple[int, str, bool], ...] = (
    (73, "TOPIC_DELETION_DISABLED", False),
    (74, "FENCED_LEADER_EPOCH", True),
    (75, "UNKNOWN_LEADER_EPOCH", True),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", False),
    (77, "STALE_BROKER_EPOCH", False),
    (78, "OFFSET_NOT_AVAILABLE", True),
    (80, "PREFERRED_LEADER_NOT_AVAILABLE", True),
    (81, "GROUP_MAX_SIZE_REACHED", False),
    (82, "FENCED_INSTANCE_ID", False),
    (83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", True),
    (87, "INVALID_RECORD", False),
    (88, "UNSTABLE_OFFSET_COMMIT", True),
    (89, "THROTTLING_QUOTA_EXCEEDED", True),
    (90, "PRODUCER_FENCED", False),
    (100, "UNKNOWN_TOPIC_ID", True),
    (103, "INCONSISTENT_TOPIC_ID", True),
)
_HIGHEST_CODE = 255
"""All codes up to this one get an error class, with a name or not. Kafka 4.3 has 133 at most."""

TOO_LARGE = int(MessageSizeTooLargeError.errno)


class ErrorKind(enum.Enum):
    """What to do about a message that was not acknowledged.

    Attributes:
        RETRY: the cause is the brokers (a leader moves, replicas are missing, a connection broke)
            or the producer (its numbers, its epoch): send it again until it is acknowledged.
        FORBIDDEN: the topic accepts nothing from this worker for now (rights, compression, format).
            An operator can change that: report it, and send the message again.
        TOO_LARGE: the topic accepts only smaller messages, or smaller batches.
        DOUBTFUL: the brokers do not say what is wrong, or it may be a fault in transit: send the
            message again for a while.
        FINAL: the topic never accepts this message.
    """

    RETRY = enum.auto()
    FORBIDDEN = enum.auto()
    TOO_LARGE = enum.auto()
    DOUBTFUL = enum.auto()
    FINAL = enum.auto()


_KINDS = {
    10: ErrorKind.TOO_LARGE,  # MESSAGE_TOO_LARGE
    18: ErrorKind.TOO_LARGE,  # RECORD_LIST_TOO_LARGE: a batch larger than a segment
    44: ErrorKind.FINAL,  # POLICY_VIOLATION
    87: ErrorKind.FINAL,  # INVALID_RECORD: no key in a compacted topic, a schema that is enforced
    17: ErrorKind.FORBIDDEN,  # INVALID_TOPIC_EXCEPTION
    21: ErrorKind.FORBIDDEN,  # INVALID_REQUIRED_ACKS
    29: ErrorKind.FORBIDDEN,  # TOPIC_AUTHORIZATION_FAILED
    31: ErrorKind.FORBIDDEN,  # CLUSTER_AUTHORIZATION_FAILED: idempotent writes, before Kafka 3.0
    35: ErrorKind.FORBIDDEN,  # UNSUPPORTED_VERSION
    43: ErrorKind.FORBIDDEN,  # UNSUPPORTED_FOR_MESSAGE_FORMAT: a format that knows no headers
    53: ErrorKind.FORBIDDEN,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    76: ErrorKind.FORBIDDEN,  # UNSUPPORTED_COMPRESSION_TYPE
    8: ErrorKind.RETRY,  # BROKER_NOT_AVAILABLE
    9: ErrorKind.RETRY,  # REPLICA_NOT_AVAILABLE
    13: ErrorKind.RETRY,  # NETWORK_EXCEPTION
    72: ErrorKind.RETRY,  # LISTENER_NOT_FOUND
    45: ErrorKind.RETRY,  # OUT_OF_ORDER_SEQUENCE_NUMBER
    47: ErrorKind.RETRY,  # INVALID_PRODUCER_EPOCH
    49: ErrorKind.RETRY,  # INVALID_PRODUCER_ID_MAPPING
    59: ErrorKind.RETRY,  # UNKNOWN_PRODUCER_ID
    90: ErrorKind.RETRY,  # PRODUCER_FENCED
    48: ErrorKind.RETRY,  # INVALID_TXN_STATE
    51: ErrorKind.RETRY,  # CONCURRENT_TRANSACTIONS
    120: ErrorKind.RETRY,  # TRANSACTION_ABORTABLE
    # All other codes are RETRY if Kafka calls them retriable, and DOUBTFUL if not. The latter are
    # UNKNOWN_SERVER_ERROR (-1), CORRUPT_MESSAGE (2, the checksum; before Kafka 2.4 also what is
    # INVALID_RECORD now), INVALID_TIMESTAMP (32, each attempt has a new one), INVALID_REQUEST (42),
    # and those of later versions.
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a topic accepts a message in no form.

    Attributes:
        code: the error code of Kafka's protocol.
        name: the code's name, as Kafka writes it.
    """

    topic: str
    code: int
    name: str

    @property
    def too_large(self) -> bool:
        """Whether its size is the cause, not its content."""
        return self.code == TOO_LARGE


def name_all_codes() -> None:
    """Give aiokafka an error class for each code that it lacks. Calling it again does nothing."""
    named = {code: (name, retriable) for code, name, retriable in _LATER_CODES}
    for code in range(_HIGHEST_CODE + 1):
        if code not in kafka_errors:
            name, retriable = named.get(code, (f"CODE_{code}", False))
            kafka_errors[code] = type(
                name,
                (BrokerResponseError,),
                {"errno": code, "message": name, "retriable": retriable},
            )


def classify(error: KafkaError) -> ErrorKind:
    """Classify the error with which the delivery of a message failed.

    Returns:
        What to do about the message.
    """
    if not isinstance(error, BrokerResponseError):
        return ErrorKind.RETRY  # a connection, a time-out, a client that stopped
    if error.retriable:
        return ErrorKind.RETRY
    return _KINDS.get(error.errno, ErrorKind.DOUBTFUL)


def code_of(error: KafkaError) -> int:
    """Get the code that a broker answered.

    Returns:
        The code; 0 for an error that did not come from a broker.
    """
    return int(error.errno) if isinstance(error, BrokerResponseError) else 0


def name_of(error: KafkaError) -> str:
    """Get the name of an error.

    Returns:
        The code's name as Kafka writes it, or the error's class if no broker answered it.
    """
    return str(error.message) if isinstance(error, BrokerResponseError) else type(error).__name__
