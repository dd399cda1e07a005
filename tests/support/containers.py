"""Containers of the image under test, in the Docker Engine that scripts/with_engine.sh provides."""

from __future__ import annotations

import random
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.ports import free_ports
from tests.support.harness import Worker

__all__ = ["HARDENED", "ContainerWorker", "docker", "has_image", "random_user"]

HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),  # noqa: S108 - in the container
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "1g", "--memory-swap", "1g", "--pids-limit", "200"),
)
"""What a platform that trusts nobody asks of a container."""

COMMAND_SECONDS = 240.0


def docker(*arguments: str) -> str:
    """What a command of the engine's client prints; it must succeed."""
    done = _run(arguments)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def has_image(name: str) -> bool:
    """Whether the engine has an image."""
    return _run(["image", "inspect", name]).returncode == 0


def _run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],  # noqa: S607 - the client that belongs to the engine
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def random_user() -> str:
    """A user that no image knows, in group 0, as OpenShift makes them up."""
    return f"{random.SystemRandom().randrange(100_000, 1_000_000)}:0"


class ContainerWorker(Worker):
    """A worker in a container on the host's network, with the engine's client as its process.

    Args:
        options: of `docker run`.
    """

    def __init__(
        self, image: str, environ: Mapping[str, str], log_path: Path, options: Sequence[str]
    ) -> None:
        (port,) = free_ports(1)
        super().__init__({**environ, "WORKER_HTTP__PORT": str(port)}, log_path)
        self._image = image
        self._options = list(options)
        self.name = f"worker-{uuid.uuid4().hex[:12]}"

    def _arguments(self, environ: Mapping[str, str]) -> list[str]:
        # The client hands on the values of these from its own environment.
        variables = [option for name in environ for option in ("--env", name)]
        run = ["docker", "run", "--rm", "--name", self.name, "--network", "host"]
        return [*run, *self._options, *variables, self._image]

    def health(self) -> str:
        """What the image's own check found: starting, healthy or unhealthy."""
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.name)

    def signal(self, number: signal.Signals) -> None:
        """To process 1 of the container; nothing happens if that has ended."""
        sent = _run(["kill", "--signal", number.name, self.name])
        gone = ("is not running", "No such container")
        assert sent.returncode == 0 or any(words in sent.stderr for words in gone), sent.stderr

    def kill(self) -> None:
        _run(["rm", "--force", "--volumes", self.name])
        super().kill()
