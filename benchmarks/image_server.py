"""Serves files on loopback, in a process of its own: /0 is the first of its arguments."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

__all__ = ["image_server"]


@contextmanager
def image_server(files: Sequence[Path]) -> Iterator[str]:
    """Serve files until the block is left.

    Yields:
        The address, without a slash at the end.
    """
    command = [sys.executable, "-m", "benchmarks.image_server", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    """Print the address, and serve until killed."""
    images = [Path(path).read_bytes() for path in sys.argv[1:]]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            body=images[int(request.match_info["number"])], content_type="image/jpeg"
        )

    application = web.Application()
    application.router.add_get("/{number:[0-9]+}", answer)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(application, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
