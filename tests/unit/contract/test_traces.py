"""Reading `traceparent` (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

from typing import cast

import pytest

from worker.contract.traces import sampled_trace, trace_header

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([("x-traceparent", b"no")], None),
        ([("traceparent", HEADER.encode())], HEADER),
        ([("Traceparent", b"first"), ("other", b""), ("TRACEPARENT", b"last")], "last"),
        ([("traceparent", b"\xff")], "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_last_header_counts(headers: list[tuple[str, bytes]], expected: str | None) -> None:
    assert trace_header(headers) == expected


def test_a_header_without_a_value_is_no_trace() -> None:
    headers = cast("list[tuple[str, bytes]]", [("traceparent", None)])
    assert sampled_trace(trace_header(headers)) is None


@pytest.mark.parametrize("header", [HEADER, f"cc-{TRACE}-b7ad6b7169203331-03-what-comes-later"])
def test_a_sampled_trace_is_read(header: str) -> None:
    assert sampled_trace(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-b7ad6b7169203331-00",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-b7ad6b7169203331",
        f"{HEADER}f",
    ],
)
def test_what_is_not_valid_or_not_sampled_leads_nowhere(header: str | None) -> None:
    assert sampled_trace(header) is None
