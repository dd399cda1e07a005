"""`health` as a container calls it: an exit code, one line, and next to nothing loaded."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.ports import free_ports
from worker.cli.health_request import ask

Answers = dict[str, tuple[int, bytes]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], int]]:
    """Starts a server with these answers by path; its port."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answers: Answers) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers[self.path]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


WELL: Answers = {"/livez": (200, b"ok\n"), "/readyz": (503, b"not warm\nnot assigned\n")}


def health(
    *arguments: str, flags: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
    return subprocess.run(
        [sys.executable, *flags, "-m", "worker", "health", *arguments],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_alive_but_not_ready(serve: Callable[[Answers], int]) -> None:
    port = str(serve(WELL))
    alive = health(WORKER_HTTP__PORT=port)
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "ok\n", "")
    ready = health("--ready", WORKER_HTTP__PORT=port)
    assert (ready.returncode, ready.stdout, ready.stderr) == (1, "", "not warm not assigned\n")


def test_the_whole_command_answers_the_same(
    serve: Callable[[Answers], int], tmp_path: Path
) -> None:
    port = serve(WELL)
    settings = tmp_path / "worker.yaml"
    settings.write_text(f"http: {{host: 127.0.0.1, port: {port}}}\n", "utf-8")
    assert health(CLASSIFY_WORKER_CONFIG=str(settings)).stdout == "ok\n"
    ready = health("--ready", "--timeout", "5", "--set", f"http.port={port}")
    assert (ready.returncode, ready.stderr) == (1, "not warm not assigned\n")


def test_nobody_there_and_no_port() -> None:
    (port,) = free_ports(1)
    gone = health(WORKER_HTTP__PORT=str(port))
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"no worker answers at 127.0.0.1:{port}: ")
    unknown = health(WORKER_HTTP__PORT="0")
    assert unknown.returncode == 2
    assert "http.port is 0" in unknown.stderr


def test_a_worker_that_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask("0.0.0.0", port, ready=False, timeout=0.2) == (  # noqa: S104 - means loopback
            False,
            f"no answer from 127.0.0.1:{port} within 0.2 s",
        )


def test_what_is_no_worker_is_none(serve: Callable[[Answers], int]) -> None:
    port = serve({"/livez": (404, b"nothing")})
    assert ask("", port, ready=False, timeout=5.0) == (
        False,
        f"what listens at 127.0.0.1:{port} is no worker (/livez: HTTP 404)",
    )


def test_it_loads_no_more_than_an_http_client(serve: Callable[[Answers], int]) -> None:
    traced = health(flags=("-X", "importtime"), WORKER_HTTP__PORT=str(serve(WELL)))
    assert traced.stdout == "ok\n"
    loaded = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}
    assert "http.client" in loaded
    assert loaded.isdisjoint({"typer", "pydantic", "yaml", "structlog", "asyncio", "numpy"})
