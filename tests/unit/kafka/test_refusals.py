"""Which errors of the brokers are final, as the codes of Kafka's protocol say."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownError, for_code

from worker.kafka.refusals import Verdict, code_of, judge, name_all_codes, name_of

name_all_codes()


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (-1, Verdict.DOUBTFUL),
        (2, Verdict.DOUBTFUL),
        (3, Verdict.RETRY),
        (5, Verdict.RETRY),
        (6, Verdict.RETRY),
        (7, Verdict.RETRY),
        (9, Verdict.RETRY),
        (10, Verdict.TOO_LARGE),
        (17, Verdict.FORBIDDEN),
        (18, Verdict.TOO_LARGE),
        (19, Verdict.RETRY),
        (20, Verdict.RETRY),
        (29, Verdict.FORBIDDEN),
        (31, Verdict.FORBIDDEN),
        (32, Verdict.DOUBTFUL),
        (35, Verdict.FORBIDDEN),
        (43, Verdict.FORBIDDEN),
        (44, Verdict.FINAL),
        (45, Verdict.RETRY),
        (47, Verdict.RETRY),
        (56, Verdict.RETRY),
        (59, Verdict.RETRY),
        (74, Verdict.RETRY),
        (75, Verdict.RETRY),
        (76, Verdict.FORBIDDEN),
        (87, Verdict.FINAL),
        (89, Verdict.RETRY),
        (90, Verdict.RETRY),
        (100, Verdict.RETRY),
        (200, Verdict.DOUBTFUL),
    ],
)
def test_each_code_that_a_produce_request_may_meet_is_judged(code: int, verdict: Verdict) -> None:
    error = for_code(code)()
    assert code_of(error) == code
    assert judge(error) is verdict


def test_what_did_not_come_from_a_broker_is_tried_again() -> None:
    for error in (KafkaConnectionError("gone"), KafkaError("the sender died")):
        assert judge(error) is Verdict.RETRY
        assert code_of(error) == 0
    assert name_of(KafkaConnectionError("gone")) == "KafkaConnectionError"


def test_codes_that_aiokafka_lacks_have_their_names() -> None:
    assert name_of(for_code(87)()) == "INVALID_RECORD"
    assert str(for_code(87)()) == "[Error 87] INVALID_RECORD"
    assert name_of(for_code(200)()) == "CODE_200"
    assert for_code(-1) is UnknownError
    name_all_codes()
    assert for_code(87)().errno == 87, "to repeat it changes nothing"
