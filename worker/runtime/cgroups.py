"""The control groups that this process is in: where Linux keeps the limits of a container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

__all__ = ["control_groups"]

CGROUPS = Path("/sys/fs/cgroup")
"""Where the kernel shows control groups: version 2, or a directory per controller of version 1."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""The groups that this process is in, one a line: `ID:CONTROLLERS:PATH`."""


def control_groups(controller: str, *mounts: str) -> Iterator[Path]:
    """Find the groups whose limits may bind this process.

    Args:
        controller: `cpu` or `memory`.
        mounts: the names of version 1's directories for it, below `CGROUPS`.

    Yields:
        Their directories, which need not exist, or set no limit.
    """
    # In a container the root is its own group; elsewhere it has no limit.
    roots = {CGROUPS, *(CGROUPS / mount for mount in mounts)}
    yield from roots
    with suppress(OSError):
        for line in MEMBERSHIP.read_text("utf-8", "replace").splitlines():
            controllers, _, path = line.partition(":")[2].partition(":")
            if controller in controllers.split(",") or not controllers:
                # A container does not see the host's path: a missing file sets no limit.
                inner = PurePosixPath(path.lstrip("/"))
                yield from (root / group for root in roots for group in (inner, *inner.parents))
