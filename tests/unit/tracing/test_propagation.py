"""Headers of any content: none ends anything, and what goes out is one valid context."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span

from tests.support.traces import Traces
from worker.contract.records import Message, Record

VALID = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAMES = st.sampled_from(["traceparent", "Traceparent", "tracestate", "TRACESTATE", "baggage"])
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=80),
    st.just(VALID),
    st.builds(lambda head, tail: VALID[:head] + tail, st.integers(0, 55), st.binary(max_size=9)),
    st.lists(st.from_regex(rb"[a-z@*/-]{1,4}=[ -~]{0,4}", fullmatch=True)).map(b",".join),
    st.binary(max_size=3).map(lambda piece: piece * 4000),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_whatever_comes_in_one_valid_context_goes_out(
    headers: list[tuple[str, bytes]],
) -> None:
    traces = Traces()
    record = Record("jobs", 0, 0, -1, None, b"{}", headers)
    message = Message(None, b"{}", tuple((name, value or b"") for name, value in headers))
    with traces.tracer.process(record), traces.tracer.send("results", message) as sending:
        sent = sending.stamp(message)
    (out,) = (value for name, value in sent.headers if name.lower() == "traceparent")
    assert re.fullmatch(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", out)
    assert sum(name.lower() == "tracestate" for name, _ in sent.headers) <= 1
    kept = [value for name, value in sent.headers if name == "baggage"]
    assert kept == [value or b"" for name, value in headers if name == "baggage"]
    assert not get_current_span().get_span_context().is_valid, "nothing stays behind"
