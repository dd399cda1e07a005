"""Which failures may pass, as the retries see them."""

from __future__ import annotations

import aiohttp
import pytest

from worker.errors import TRANSIENT_REASONS, JobError, Reason, Stage
from worker.images.fetch_errors import StatusError, TooSlowError, UnresolvedError, explain


@pytest.mark.parametrize("transient", [True, False])
def test_a_failure_says_whether_trying_again_may_help(transient: bool) -> None:
    error = JobError(Reason.FETCH_FAILED, "down", transient, attempts=3)
    failure = error.as_failure()
    assert (failure.transient, failure.attempts, failure.stage) == (transient, 3, Stage.FETCH)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        *((StatusError(status, None), True) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((StatusError(status, None), False) for status in (400, 401, 403, 404, 410, 451)),
        (UnresolvedError("example.org"), True),
        (TooSlowError(), True),
        (TimeoutError(), True),
        (aiohttp.ClientPayloadError(), True),
        (ConnectionResetError(), True),
        (ValueError("no host"), False),
    ],
)
def test_the_faults_of_hosts_that_may_pass(error: Exception, passes: bool) -> None:
    failure = explain(error).as_failure()
    assert failure.transient == passes
    assert failure.reason in TRANSIENT_REASONS or not passes
