"""What a message is made into before it is sent."""

from __future__ import annotations

from dataclasses import replace

from tests.support.messages import SUCCESS, result
from worker.contract.records import Message
from worker.contract.results import without_copies, without_picture
from worker.kafka.publisher import Outgoing, stamped


def stamp(message: Message) -> Message:
    """Give a message one traceparent, as a tracer does."""
    kept = (header for header in message.headers if header[0] != "traceparent")
    return replace(message, headers=(*kept, ("traceparent", b"its own")))


def test_a_traced_message_carries_its_spans_context_in_its_smaller_forms_too() -> None:
    message = result(replace(SUCCESS, picture=bytes(1000)))
    outgoing = stamped(Outgoing("results", message, (without_picture, without_copies)), stamp)
    forms = [outgoing.message]
    for reduce in outgoing.reductions:
        forms.append(reduce(forms[-1]))
        assert forms[-1].size < forms[-2].size
    for form in forms:
        assert [value for name, value in form.headers if name == "traceparent"] == [b"its own"]
    assert not [name for name, _ in forms[-1].headers if name == "x-tenant"]
