"""Header names in all their spellings, and values that are not text."""

from __future__ import annotations

import pytest

from worker.contract.headers import fold_name, has_prefix, source_headers, text_headers, text_pairs
from worker.contract.records import Headers, Record


@pytest.mark.parametrize("name", ["top-k", "topK", "TOP_K", "topk"])
def test_all_spellings_of_a_name_are_one(name: str) -> None:
    assert fold_name(name) == "topk"


def test_a_prefix_is_found_in_all_its_spellings() -> None:
    assert has_prefix("CE_id", "ce-", "dead-letter-")
    assert has_prefix("Dead_Letter-reason", "ce-", "dead-letter-")
    assert not has_prefix("certificate", "ce-", "dead-letter-")


def test_null_and_what_is_not_text_is_read_all_the_same_and_the_last_of_a_name_counts() -> None:
    odd: Headers = (("a", b"\xff"), ("b", None), ("B", b" x "))  # type: ignore[assignment]
    assert text_pairs(odd) == [("a", "\ufffd"), ("b", ""), ("B", "x")]
    assert text_headers(odd) == {"a": "\ufffd", "b": "x"}


def test_where_a_record_is() -> None:
    record = Record("jobs", 3, 42, -1, None, None, ())
    assert source_headers(record) == (
        ("source-topic", b"jobs"),
        ("source-partition", b"3"),
        ("source-offset", b"42"),
        ("source-timestamp", b"-1"),
    )
    assert [name for name, _ in source_headers(record, "dead-letter-")] == [
        "dead-letter-source-topic",
        "dead-letter-source-partition",
        "dead-letter-source-offset",
        "dead-letter-source-timestamp",
    ]
