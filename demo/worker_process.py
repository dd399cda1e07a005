"""The worker as its own process, as it would run anywhere: settings from the environment alone."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from demo.logged_process import LoggedProcess
from demo.ports import free_ports
from worker.runtime.children import module_command

__all__ = ["WorkerProcess"]

HOST = "127.0.0.1"
SETTINGS_PREFIX = "WORKER_"
REQUEST_TIMEOUT = 5.0


class WorkerProcess(LoggedProcess):
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
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS_PREFIX)}
        http = {"WORKER_HTTP__HOST": HOST, "WORKER_HTTP__PORT": str(port)}
        super().__init__(
            "the worker",
            module_command("worker.cli", command),
            {**inherited, **http, **settings},
            log_path,
        )

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

    def _get(self, path: str) -> bytes:
        # Loopback: a proxy from the environment must not see it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=REQUEST_TIMEOUT) as response:
            content: bytes = response.read()
        return content
