"""How much records and messages take."""

from __future__ import annotations

from worker.contract.records import Message, Record


def test_size_counts_key_value_and_headers() -> None:
    assert Message(b"k", b"value", (("é", b"12"), ("n", None))).size == 1 + 5 + 4 + 1  # type: ignore[arg-type]
    assert Message(None, None, ()).size == 0


def test_the_size_of_a_record_counts_the_same() -> None:
    assert Record("jobs", 0, 0, 0, b"k", b"value", (("name", b"12"),)).size == 1 + 5 + 6
    assert Record("jobs", 0, 0, 0, None, None, ()).size == 0
