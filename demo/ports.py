"""Free loopback ports that stay free while their server is down."""

from __future__ import annotations

import random
import socket

from demo.errors import DemoError

__all__ = ["free_ports"]

# Below what kernels hand out for outgoing connections (from 32768 on Linux, 49152 elsewhere):
# otherwise a client that keeps trying to reach a stopped server may take the server's port, or even
# be connected to itself.
_RANGE = range(20_000, 32_000)
_ATTEMPTS = 1000


def free_ports(count: int) -> list[int]:
    """Find free ports.

    Returns:
        Different TCP ports of 127.0.0.1 that nothing listens on.

    Raises:
        DemoError: none was found.
    """
    found: list[int] = []
    candidates = random.SystemRandom().sample(_RANGE, _ATTEMPTS)
    for port in candidates:
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise DemoError(f"No {count} free ports on 127.0.0.1 among {_ATTEMPTS} tried.")
    return found
