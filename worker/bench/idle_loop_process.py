"""An event loop that does nothing but notice its delays; its argument is OWNER.

Beside a worker it has the same cores in the same seconds, so its delays are the machine's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import uvloop

from worker.bench.child import Answer, Question, answer_questions
from worker.health import watch_event_loop
from worker.metrics import Metrics

__all__ = ["LAG", "main"]

LAG = "classify_event_loop_lag_seconds"
"""The longest delay of an event loop in the last seconds, among a worker's metrics."""


def main() -> None:
    """Answer `{}` with `{lag}`: the longest delay of the last seconds, itself in seconds."""
    answer_questions(_prepare)


def _prepare(_: list[str]) -> Callable[[Question], Answer]:
    metrics = Metrics()
    threading.Thread(target=lambda: uvloop.run(watch_event_loop(metrics)), daemon=True).start()
    return lambda _: {"lag": metrics.registry.get_sample_value(LAG)}
