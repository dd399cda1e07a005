"""Podman, which runs Kubernetes' own manifests: with storage of its own, and without a network.

`make test-deploy` sees to it that podman is there (`scripts/podman.sh`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Podman", "for_podman"]

SECONDS = 180
"""For one command; loading an image takes longest."""

SETTINGS = """\
[containers]
# Less than the default, which a process without CAP_SYS_RESOURCE cannot set.
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
static_dir = "{directory}/static"
tmp_dir = "{directory}/run/libpod"
volume_path = "{directory}/volumes"
"""

STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{directory}/store"
runroot = "{directory}/run"
"""


class Podman:
    """Containers and volumes of one test; all are gone after it. A context manager.

    Args:
        directory: empty; on a real disk, since images are unpacked there.
    """

    def __init__(self, directory: Path) -> None:
        self._settings = directory / "containers.conf"
        self._storage = directory / "storage.conf"
        self._directory = directory

    def __enter__(self) -> Self:
        self._settings.write_text(SETTINGS.format(directory=self._directory), "utf-8")
        self._storage.write_text(STORAGE.format(directory=self._directory), "utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self("pod", "rm", "--force", "--time", "0", "--all")
        self("volume", "rm", "--force", "--all")
        self("image", "rm", "--force", "--all")

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command of podman's; it must succeed. Returns: its standard output."""
        done = subprocess.run(
            [_found("podman"), *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def copy_from_docker(self, image: str) -> None:
        """Copy an image that the Docker Engine has."""
        with subprocess.Popen([_found("docker"), "save", image], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                [_found("podman"), "load", "--quiet"],
                env=self._environment(),
                stdin=saving.stdout,
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
        assert saving.returncode == 0

    def volume(self, name: str) -> Path:
        """Make a volume, which a claim of that name is then. Returns: where its files are."""
        self("volume", "create", name)
        return Path(self("volume", "inspect", "--format", "{{.Mountpoint}}", name))

    def inspect(self, container: str) -> dict[str, Any]:
        """Describe a container. Returns: what podman knows of it."""
        (found,) = json.loads(self("container", "inspect", container))
        return dict(found)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self._settings),
            "CONTAINERS_STORAGE_CONF": str(self._storage),
        }


def _found(command: str) -> str:
    path = shutil.which(command)
    assert path, f"{command} is not there: make test-deploy"
    return path


def for_podman(pod: dict[str, Any]) -> dict[str, Any]:
    """Say what podman 4 wants said otherwise: the host's network, in which ports are numbers.

    Returns:
        The pod's template.
    """
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    changed = {name: value for name, value in container.items() if name != "ports"}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[kind]["httpGet"]
        changed[kind] = {**container[kind], "httpGet": {**asked, "port": ports[asked["port"]]}}
    spec = {**pod["spec"], "hostNetwork": True, "containers": [changed]}
    return {**pod, "spec": spec}
