"""Which errors of the brokers are final, as the codes of Kafka's protocol say."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownError, for_code

from worker.kafka.broker_errors import ErrorKind, classify, code_of, name_all_codes, name_of

name_all_codes()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1, ErrorKind.DOUBTFUL),
        (2, ErrorKind.DOUBTFUL),
        (3, ErrorKind.RETRY),
        (5, ErrorKind.RETRY),
        (6, ErrorKind.RETRY),
        (7, ErrorKind.RETRY),
        (9, ErrorKind.RETRY),
        (10, ErrorKind.TOO_LARGE),
        (17, ErrorKind.FORBIDDEN),
        (18, ErrorKind.TOO_LARGE),
        (19, ErrorKind.RETRY),
        (20, ErrorKind.RETRY),
        (29, ErrorKind.FORBIDDEN),
        (31, ErrorKind.FORBIDDEN),
        (32, ErrorKind.DOUBTFUL),
        (35, ErrorKind.FORBIDDEN),
        (43, ErrorKind.FORBIDDEN),
        (44, ErrorKind.FINAL),
        (45, ErrorKind.RETRY),
        (47, ErrorKind.RETRY),
        (56, ErrorKind.RETRY),
        (59, ErrorKind.RETRY),
        (74, ErrorKind.RETRY),
        (75, ErrorKind.RETRY),
        (76, ErrorKind.FORBIDDEN),
        (87, ErrorKind.FINAL),
        (89, ErrorKind.RETRY),
        (90, ErrorKind.RETRY),
        (100, ErrorKind.RETRY),
        (200, ErrorKind.DOUBTFUL),
    ],
)
def test_each_code_that_a_produce_request_may_meet_is_judged(code: int, kind: ErrorKind) -> None:
    error = for_code(code)()
    assert code_of(error) == code
    assert classify(error) is kind


def test_what_did_not_come_from_a_broker_is_tried_again() -> None:
    for error in (KafkaConnectionError("gone"), KafkaError("the sender died")):
        assert classify(error) is ErrorKind.RETRY
        assert code_of(error) == 0
    assert name_of(KafkaConnectionError("gone")) == "KafkaConnectionError"


def test_codes_that_aiokafka_lacks_have_their_names() -> None:
    assert name_of(for_code(87)()) == "INVALID_RECORD"
    assert str(for_code(87)()) == "[Error 87] INVALID_RECORD"
    assert name_of(for_code(200)()) == "CODE_200"
    assert for_code(-1) is UnknownError
    name_all_codes()
    assert for_code(87)().errno == 87, "to repeat it changes nothing"
