"""What `run` and `serve` say on a terminal: where they listen, and what they wait for."""

from __future__ import annotations

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
"""An address of this machine, for those that stand for all of its addresses."""

WAITS = {
    "pulling the model": "the model to be downloaded",
    "not warm": "the model to load",
    "not assigned": "the group to hand out partitions",
    "not publishing": "the brokers to allow writing",
}
"""What is missing, as `Health` says it, and as the end of \"waiting for\"."""


def terminal_log(loaded: Loaded) -> LogSettings:
    """The log's settings: on a terminal lines for people, unless the format was chosen."""
    log = loaded.settings.log
    if loaded.sources["log.format"] == "default" and sys.stderr.isatty():
        return log.model_copy(update={"format": "console"})
    return log


def narrates(log: LogSettings) -> bool:
    """Whether a person reads the output: not where programs read the log."""
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
            _say(f"address  {root}{CLASSIFY}")
            _say(f"page     {root}")
        if not serves or probes != root:
            _say(f"probes   {probes}readyz  {probes}metrics")
        if self._kafka:
            _say(f"brokers  {kafka.bootstrap_servers} ({kafka.security_protocol})")
            _say(f"jobs     {kafka.jobs_topic}, as a member of group {kafka.group_id}")
            _say(f"results  {kafka.results_topic}; failures also {kafka.dead_letters_topic}")
        self._wait(f"model {self._settings.model_dir or self._settings.model}")

    def connecting(self) -> None:
        """See `worker.app.notices`."""
        kafka = self._settings.kafka
        topics = f"{kafka.jobs_topic}, {kafka.results_topic}, {kafka.dead_letters_topic}"
        self._wait(f"the brokers at {kafka.bootstrap_servers} and the topics {topics}")

    def loading(self, model: str) -> None:
        """See `worker.app.notices`."""
        self._wait(f"{model} to load")

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
        """The worker has ended in order."""
        self._once("stopped")

    def _wait(self, what: str) -> None:
        self._once(f"waiting for {what} ...")

    def _once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            _say(line)


def _say(line: str) -> None:
    say(line, wait=False)
