from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from demo import ports
from demo.errors import DemoError
from demo.ports import free_ports

# Finds as many ports as each line says, until there are no more lines.
FINDER = """
import sys
from demo.ports import free_ports
for line in sys.stdin:
    print(*free_ports(int(line)), flush=True)
"""
# Finds a port, and then, as two processes, many each; the second one waits for the first.
FORKING_FINDER = """
import os
from demo.ports import free_ports
free_ports(1)
child = os.fork()
found = free_ports(500)
if child:
    os.waitpid(child, 0)
print(*found, flush=True)
"""
# Ends once it has found a port; its child ends with the input that both have.
FINDER_WITH_CHILD = """
import subprocess, sys
from demo.ports import free_ports
(port,) = free_ports(1)
command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
subprocess.Popen(command, stdout=subprocess.DEVNULL, close_fds=False)
print(port, flush=True)
"""


class Finder:
    """A process that finds ports when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._requests = process.stdin
        self._answers = process.stdout

    def ask(self, count: int) -> None:
        self._requests.write(f"{count}\n")
        self._requests.flush()

    def answer(self) -> list[int]:
        return [int(port) for port in self._answers.readline().split()]

    def end(self) -> None:
        self._requests.close()
        assert self.process.wait() == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[[], Finder]]:
    """Starts processes that find ports, and ends them."""
    with ExitStack() as cleanup:

        def make() -> Finder:
            process = cleanup.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", FINDER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            cleanup.callback(process.kill)
            return Finder(process)

        yield make


@pytest.fixture
def only_block_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], range]:
    """Leaves this process no other ports to find than the block of the given one."""

    def leave(port: int) -> range:
        (first,) = (first for first in ports._BLOCKS if first <= port < first + ports._BLOCK)
        monkeypatch.setattr(ports, "_BLOCKS", range(first, first + 1))
        monkeypatch.setattr(ports, "_unused", [])
        return range(first, first + ports._BLOCK)

    return leave


def test_two_processes_that_ask_at_the_same_time_find_different_ports(
    start: Callable[[], Finder],
) -> None:
    finders = [start(), start()]
    for finder in finders:
        finder.ask(1000)

    one, other = (finder.answer() for finder in finders)

    assert len(one) == len(other) == 1000
    assert not set(one) & set(other)


def test_a_process_finds_each_port_once(start: Callable[[], Finder]) -> None:
    finder = start()
    found: list[int] = []
    for count in (1, 2, 500, 500):
        finder.ask(count)
        answer = finder.answer()
        assert len(answer) == count
        found += answer

    assert len(set(found)) == len(found)


def test_a_forked_process_finds_other_ports_than_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING_FINDER], capture_output=True, text=True, check=True
    )

    one, other = (set(line.split()) for line in done.stdout.splitlines())
    assert len(one) == len(other) == 500
    assert not one & other


@pytest.mark.parametrize("end", [Finder.end, Finder.kill])
def test_ports_are_free_again_once_their_finder_has_ended(
    start: Callable[[], Finder],
    only_block_of: Callable[[int], range],
    end: Callable[[Finder], None],
) -> None:
    finder = start()
    finder.ask(1)
    (port,) = finder.answer()
    block = only_block_of(port)
    with pytest.raises(DemoError, match=r"No free ports on 127\.0\.0\.1"):
        free_ports(1)

    end(finder)

    assert free_ports(1)[0] in block


def test_a_child_that_outlives_the_finder_does_not_keep_its_ports(
    only_block_of: Callable[[int], range],
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FINDER_WITH_CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as finder:
        assert finder.stdout is not None
        port = int(finder.stdout.readline())
        block = only_block_of(port)
        assert finder.wait() == 0

        assert free_ports(1)[0] in block


def left_behind(finder: Finder, only_block_of: Callable[[int], range]) -> tuple[int, range]:
    """A port of a finder that has ended, and the block it lies in, the only one there is now."""
    finder.ask(1)
    (port,) = finder.answer()
    block = only_block_of(port)
    finder.end()
    return port, block


def test_a_port_on_which_something_listens_is_not_found(
    start: Callable[[], Finder], only_block_of: Callable[[int], range]
) -> None:
    port, block = left_behind(start(), only_block_of)

    found: list[int] = []
    with socket.create_server(("127.0.0.1", port)), contextlib.suppress(DemoError):
        for _ in block:
            found += free_ports(1)

    # Other programs may listen on some of them too.
    assert found
    assert set(found) <= set(block) - {port}


def test_an_error_when_too_few_are_left(
    start: Callable[[], Finder], only_block_of: Callable[[int], range]
) -> None:
    _, block = left_behind(start(), only_block_of)

    with pytest.raises(DemoError, match=r"No free ports on 127\.0\.0\.1"):
        free_ports(len(block) + 1)
