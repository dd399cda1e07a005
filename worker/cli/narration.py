"""What `run` and `serve` say on a terminal: where they listen, and what they wait for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.logs import say

if TYPE_CHECKING:
    from worker.settings import LogSettings, Settings
    from worker.settings.sources import Loaded

__all__ = ["Narration", "narrates", "terminal_log"]

CLASSIFY = "image-classification"
"""The service's path."""

ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not listened on
"""The address to show in place of one that means all addresses of this machine."""

NAMES = 9
"""Cells of the column of names."""

WAITS = {
    "pulling the model": "the model to be downloaded",
    "measuring backends": "the backends to be measured",
    "waiting for another worker to measure backends": "another worker to measure backends",
    "not warm": "the model to load",
    "not assigned": "the group to hand out partitions",
    "not publishing": "the brokers to allow writing",
    "no broker answers": "a broker to answer",
}
"""What is missing: the words of `Health`, and those that follow "waiting for"."""

MEASURING = "measuring backends"
"""The step of a selection that the waiting for a model is explained by."""


def terminal_log(loaded: Loaded) -> LogSettings:
    """Choose the log's format: on a terminal lines for people, unless the settings name a format.

    Returns:
        The log's settings, with that format.
    """
    log = loaded.settings.log
    if loaded.sources["log.format"] == "default" and sys.stderr.isatty():
        return log.model_copy(update={"format": "console"})
    return log


def narrates(log: LogSettings) -> bool:
    """Tell whether a person reads the log: on a terminal, in lines for people."""
    return log.format == "console" and sys.stderr.isatty()


class Narration:
    """Writes a line for each step, between the lines of the log: `worker.app.notices.Notices`.

    Args:
        kafka: whether it works for a topic.
    """

    def __init__(self, settings: Settings, *, kafka: bool) -> None:
        self._settings = settings
        self._kafka = kafka
        self._said = ""

    def listening(self, port: int, metrics_port: int) -> None:
        """See `worker.app.notices`."""
        http, kafka = self._settings.http, self._settings.kafka
        host = ANY_HOST.get(http.host, f"[{http.host}]" if ":" in http.host else http.host)
        root, probes = (f"http://{host}:{number}/" for number in (port, metrics_port))
        serves = http.infer or not self._kafka
        if serves:
            _say(f"{root}{CLASSIFY}", "address")
            _say(root, "page")
        if not serves or probes != root:
            _say(f"{probes}readyz {probes}metrics", "probes")
        if self._kafka:
            _say(f"{kafka.bootstrap_servers} ({kafka.security_protocol})", "brokers")
            _say(f"{kafka.jobs_topic}, as a member of group {kafka.group_id}", "jobs")
            _say(f"{kafka.results_topic}; failures also {kafka.dead_letters_topic}", "results")
        self._wait(f"model {self._settings.model_dir or self._settings.model}")

    def connecting(self) -> None:
        """See `worker.app.notices`."""
        kafka = self._settings.kafka
        topics = f"{kafka.jobs_topic}, {kafka.results_topic}, {kafka.dead_letters_topic}"
        self._wait(f"the brokers at {kafka.bootstrap_servers} and the topics {topics}")

    def loading(self, model: str) -> None:
        """See `worker.app.notices`."""
        self._wait(f"{model} to load")

    def selecting(self, step: str, backends: Sequence[str]) -> None:
        """See `worker.app.notices`."""
        if step == MEASURING:
            self._once(f"{step}: {', '.join(backends)}, once per model and machine")
        else:
            self._wait(WAITS[step] if step else "the predictors to warm up")

    def changed(self, not_ready: Sequence[str]) -> None:
        """See `worker.app.notices`."""
        if "draining" in not_ready:
            work = "jobs and requests" if self._kafka else "requests"
            self._once(f"stopping, once {work} under way are done; Ctrl-C again stops at once")
        elif not_ready:
            self._wait(", ".join(WAITS.get(reason, reason) for reason in not_ready))
        elif self._kafka:
            topic = self._settings.kafka.jobs_topic
            self._once(f"ready, waiting for jobs on {topic}; Ctrl-C stops")
        else:
            self._once("ready; Ctrl-C stops")

    def stopped(self) -> None:
        """Say that the worker has stopped gracefully."""
        self._once("stopped")

    def _wait(self, what: str) -> None:
        self._once(f"waiting for {what} ...")

    def _once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            _say(line)


def _say(text: str, name: str = "") -> None:
    """Write a line, or as many as the terminal needs to break no name and no address.

    Args:
        name: what the text is about; it stands in a column of its own.
    """
    from worker.cli.rows import wrap  # noqa: PLC0415 - only people read it

    first = f"{name:<{NAMES}}" if name else ""
    lines = wrap(text, shutil.get_terminal_size().columns, first, " " * len(first) or "  ")
    say("\n".join(lines), wait=False)
