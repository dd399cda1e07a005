"""One partition's fields in a broker's answer, as each version of the protocol orders them."""

from __future__ import annotations

from typing import Any

import pytest

from worker.kafka.fetch_response import PartitionResponse, read_partition_response

ABORTED = [(7, 100)]


@pytest.mark.parametrize(
    ("fields", "stable_end", "aborted"),
    [
        ([3, 0, 50, b"batches"], None, ()),
        ([3, 0, 50, 40, ABORTED, b"batches"], 40, ABORTED),
        ([3, 0, 50, 40, 2, ABORTED, b"batches"], 40, ABORTED),
        ([3, 0, 50, 40, 2, ABORTED, -1, b"batches"], 40, ABORTED),
        ([3, 0, 50, -1, None, b"batches"], -1, ()),
    ],
    ids=["0 to 3", "4", "5 to 10", "11", "no transactions"],
)
def test_every_version_is_read(
    fields: list[Any], stable_end: int | None, aborted: list[tuple[int, int]]
) -> None:
    expected = PartitionResponse(3, 0, 50, stable_end, aborted, b"batches")
    assert read_partition_response(fields) == expected


def test_an_answer_without_batches_has_no_bytes() -> None:
    assert read_partition_response([3, 1, -1, None]).data == b""


@pytest.mark.parametrize(
    ("stable_end", "committed", "end"),
    [(40, True, 40), (40, False, 50), (None, True, 50), (-1, True, 50)],
)
def test_committed_records_end_at_the_first_open_transaction(
    stable_end: int | None, committed: bool, end: int
) -> None:
    response = PartitionResponse(3, 0, 50, stable_end, (), b"")
    assert response.readable_end(committed=committed) == end
