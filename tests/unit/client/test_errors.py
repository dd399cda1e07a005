"""What a failure says to programs and to people."""

from __future__ import annotations

import pytest

from worker.client.errors import ClientClosed, JobRefused, ResultTimeout, refusal_reason
from worker.errors import Reason, WorkerError


def test_every_code_of_a_worker_has_a_name() -> None:
    names = {reason.status: refusal_reason(reason.status) for reason in Reason}
    assert names[404] == "not_found"
    assert names[415] == "unsupported_media_type"
    assert not [name for name in names.values() if name.startswith("http_")]
    assert refusal_reason(418) == "http_418"


def test_messages() -> None:
    assert str(JobRefused(404, "not_found", "there is no image", "a")) == (
        "404 not_found: there is no image"
    )
    assert str(JobRefused(None, "too_large", "the file is too large", "a")) == (
        "the file is too large"
    )
    assert str(ResultTimeout("no result within 5 s", "a")) == "no result within 5 s"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ResultTimeout("late", "a"), TimeoutError), (ClientClosed("closed"), RuntimeError)],
)
def test_errors_are_also_what_python_calls_them(error: WorkerError, kind: type) -> None:
    assert isinstance(error, kind)
    assert isinstance(error, WorkerError)
