"""What an error of the brokers means for a message: the codes of Kafka's protocol, judged.

aiokafka 0.14 knows but one code above 72 and takes the others for "unknown", which hides why a
message was refused and whether a second attempt can help. `name_all_codes` gives it the rest.
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

__all__ = ["TOO_LARGE", "Refused", "Verdict", "code_of", "judge", "name_all_codes", "name_of"]

# As in org.apache.kafka.common.protocol.Errors (4.3): code, name, and whether the same request may
# succeed later. Those that brokers answer a producer or a consumer with.
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
"""Codes up to here get a class of their own, named or not; Kafka 4.3 has come to 133."""

TOO_LARGE = int(MessageSizeTooLargeError.errno)


class Verdict(enum.Enum):
    """What to do about a message that was not taken.

    Attributes:
        RETRY: the brokers are the cause (a leader moves, replicas are missing, a connection broke),
            or the producer is (its numbers, its epoch): send it again until it is taken.
        FORBIDDEN: the topic takes nothing from this worker as things are (rights, compression,
            format). No message is to blame and an operator can change it: send it again, and tell.
        TOO_LARGE: the topic takes only smaller ones, or smaller batches.
        DOUBTFUL: the brokers say that something is wrong without saying with what, or that it is
            what a fault on the way may have caused: send it again for a while.
        FINAL: the topic never takes this message.
    """

    RETRY = enum.auto()
    FORBIDDEN = enum.auto()
    TOO_LARGE = enum.auto()
    DOUBTFUL = enum.auto()
    FINAL = enum.auto()


_VERDICTS = {
    10: Verdict.TOO_LARGE,  # MESSAGE_TOO_LARGE
    18: Verdict.TOO_LARGE,  # RECORD_LIST_TOO_LARGE: a batch larger than a segment
    44: Verdict.FINAL,  # POLICY_VIOLATION
    87: Verdict.FINAL,  # INVALID_RECORD: no key in a compacted topic, a schema that is enforced
    17: Verdict.FORBIDDEN,  # INVALID_TOPIC_EXCEPTION
    21: Verdict.FORBIDDEN,  # INVALID_REQUIRED_ACKS
    29: Verdict.FORBIDDEN,  # TOPIC_AUTHORIZATION_FAILED
    31: Verdict.FORBIDDEN,  # CLUSTER_AUTHORIZATION_FAILED: idempotent writes, before Kafka 3.0
    35: Verdict.FORBIDDEN,  # UNSUPPORTED_VERSION
    43: Verdict.FORBIDDEN,  # UNSUPPORTED_FOR_MESSAGE_FORMAT: a format that knows no headers
    53: Verdict.FORBIDDEN,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    76: Verdict.FORBIDDEN,  # UNSUPPORTED_COMPRESSION_TYPE
    8: Verdict.RETRY,  # BROKER_NOT_AVAILABLE
    9: Verdict.RETRY,  # REPLICA_NOT_AVAILABLE
    13: Verdict.RETRY,  # NETWORK_EXCEPTION
    72: Verdict.RETRY,  # LISTENER_NOT_FOUND
    45: Verdict.RETRY,  # OUT_OF_ORDER_SEQUENCE_NUMBER
    47: Verdict.RETRY,  # INVALID_PRODUCER_EPOCH
    49: Verdict.RETRY,  # INVALID_PRODUCER_ID_MAPPING
    59: Verdict.RETRY,  # UNKNOWN_PRODUCER_ID
    90: Verdict.RETRY,  # PRODUCER_FENCED
    # All others by whether Kafka says that they may pass. What may not and is not listed is
    # DOUBTFUL: UNKNOWN_SERVER_ERROR (-1), CORRUPT_MESSAGE (2, the checksum; before Kafka 2.4 also
    # what is INVALID_RECORD now), INVALID_TIMESTAMP (32, each attempt has a new one),
    # INVALID_REQUEST (42), and whatever later versions bring.
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that its topic does not take in any form.

    Attributes:
        code: of Kafka's protocol.
        name: the code's, as Kafka writes it.
    """

    topic: str
    code: int
    name: str

    @property
    def too_large(self) -> bool:
        """Whether its size is the cause, not its content."""
        return self.code == TOO_LARGE


def name_all_codes() -> None:
    """Give aiokafka an error class for each code that it has none for; harmless to repeat."""
    named = {code: (name, retriable) for code, name, retriable in _LATER_CODES}
    for code in range(_HIGHEST_CODE + 1):
        if code not in kafka_errors:
            name, retriable = named.get(code, (f"CODE_{code}", False))
            kafka_errors[code] = type(
                name,
                (BrokerResponseError,),
                {"errno": code, "message": name, "retriable": retriable},
            )


def judge(error: KafkaError) -> Verdict:
    """What to do about a message whose delivery failed with `error`."""
    if not isinstance(error, BrokerResponseError):
        return Verdict.RETRY  # a connection, a time-out, a client that stopped
    if error.retriable:
        return Verdict.RETRY
    return _VERDICTS.get(error.errno, Verdict.DOUBTFUL)


def code_of(error: KafkaError) -> int:
    """The code that the brokers answered with; 0 for what did not come from them."""
    return int(error.errno) if isinstance(error, BrokerResponseError) else 0


def name_of(error: KafkaError) -> str:
    """The code's name as Kafka writes it, or the error's class."""
    return str(error.message) if isinstance(error, BrokerResponseError) else type(error).__name__
