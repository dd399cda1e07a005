"""Free loopback ports that stay free while their server is down."""

from __future__ import annotations

import os
import random
import socket

from demo.errors import DemoError

__all__ = ["free_ports"]

_HOST = "127.0.0.1"

# Below what kernels hand out for outgoing connections (from 32768 on Linux, 49152 elsewhere):
# otherwise a client that keeps trying to reach a stopped server may take the server's port, or even
# be connected to itself.
#
# A process takes whole blocks, so that hundreds of ports take few of its descriptors.
_BLOCK = 50
_BLOCKS = range(20_000, 32_000, _BLOCK)

# Of this process's blocks, the ports that it has not looked at yet.
_unused: list[int] = []

# A forked process would hand out the same ones.
os.register_at_fork(after_in_child=_unused.clear)


def free_ports(count: int) -> list[int]:
    """Find free ports, which are this process's until it ends.

    No other process of this machine is given them by this function meanwhile, and this process is
    given each one once. That holds for all users, and in each network namespace by itself.

    Returns:
        Different TCP ports of 127.0.0.1 that nothing listens on.

    Raises:
        DemoError: there are too few, because processes have the others.
    """
    found: list[int] = []
    while len(found) < count:
        try:
            port = _unused.pop()
        except IndexError:
            _unused.extend(_take_block())
            continue
        if _nothing_listens(port):
            found.append(port)
    return found


def _take_block() -> range:
    """Take ports that no process has, for as long as this one lives."""
    for first in random.SystemRandom().sample(_BLOCKS, len(_BLOCKS)):
        # The block's mark is a UDP port, which TCP servers do not mind: the kernel gives it to one
        # process, and takes it back however that ends. Programs that it starts do not inherit it.
        with socket.socket(type=socket.SOCK_DGRAM) as mark:
            try:
                mark.bind((_HOST, first))
            except OSError:
                continue
            mark.detach()  # stays open
        return range(first, first + _BLOCK)
    raise DemoError(f"No free ports on {_HOST}: processes have all from {_BLOCKS[0]} on.")


def _nothing_listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True
