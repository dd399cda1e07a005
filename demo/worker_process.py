"""The worker as its own process, as it would run anywhere: settings from the environment alone."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from demo.errors import DemoError
from demo.orphans import OrphanGuard
from demo.ports import free_ports
from worker.runtime.children import module_command

__all__ = ["WorkerProcess", "log_end"]

HOST = "127.0.0.1"
SETTINGS_PREFIX = "WORKER_"
LOG_LINES = 25
REQUEST_TIMEOUT = 5.0


class WorkerProcess:
    """`classify-worker run` or `serve` on loopback; a context manager, left when it is gone.

    Args:
        settings: environment variables, `WORKER_...`; those of this process do not count.
        log_path: file that gets the worker's log.
        command: `run`, or `serve` for HTTP alone.

    Attributes:
        url: base address of its HTTP server, without a slash at the end.
        log_path: as given.
    """

    def __init__(
        self, settings: Mapping[str, str], log_path: Path, command: Literal["run", "serve"] = "run"
    ) -> None:
        (port,) = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        self.log_path = log_path
        self._command = command
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS_PREFIX)}
        http = {"WORKER_HTTP__HOST": HOST, "WORKER_HTTP__PORT": str(port)}
        self._environment = {**inherited, **http, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OrphanGuard | None = None

    def __enter__(self) -> Self:
        self._guard = OrphanGuard()
        try:
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    module_command("worker.cli", self._command),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Out of the terminal's group: Ctrl-C reaches it as SIGTERM, in order.
                    start_new_session=True,
                )
            self._guard.watch(self._process.pid)
        except BaseException:
            self._guard.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        if self._guard is not None:
            self._guard.close()

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id; it is running, or was."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process ended, minus the signal's number if that ended it; None while it runs."""
        return None if self._process is None else self._process.poll()

    def answers(self, path: str) -> bool:
        """Ask its HTTP server.

        Returns:
            Whether it answers with a status below 400.
        """
        try:
            self._get(path)
        except OSError:
            return False
        return True

    def wait_until_ready(self, timeout: float) -> None:
        """Return once `/readyz` says so.

        Raises:
            DemoError: the worker ended, or is not ready after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self.answers("/readyz"):
            if not self.running:
                raise self.failed("ended instead of getting ready")
            if time.monotonic() > deadline:
                raise self.failed(f"was not ready after {timeout:.0f} s")
            time.sleep(0.1)

    def metrics(self) -> str:
        """Read `/metrics`.

        Returns:
            The text exposition.

        Raises:
            DemoError: it does not answer.
        """
        try:
            return self._get("/metrics").decode()
        except OSError as error:
            raise self.failed(f"does not answer at {self.url}/metrics ({error})") from error

    def stop(self, timeout: float) -> None:
        """Stop it gracefully, by SIGTERM.

        Raises:
            DemoError: it did not end in time, or with another exit code than 0.
        """
        assert self._process is not None
        self._process.terminate()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise self.failed(f"did not stop within {timeout:.0f} s") from error
        if status != 0:
            raise self.failed(f"ended with exit code {status} when it was stopped")

    def failed(self, what: str) -> DemoError:
        """Make the error for a worker that failed.

        Returns:
            The error, not raised, with the end of the worker's log.
        """
        return DemoError(f"the worker {what}; {self.log_path} ends so:\n{log_end(self.log_path)}")

    def _get(self, path: str) -> bytes:
        # Loopback: a proxy from the environment must not see it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=REQUEST_TIMEOUT) as response:
            content: bytes = response.read()
        return content


def log_end(path: Path) -> str:
    """Read the end of a log.

    Returns:
        Its last lines.
    """
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])
