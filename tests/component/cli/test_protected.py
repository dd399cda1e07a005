"""`health` and `top` at a worker that speaks TLS and asks for a token."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from worker.health import Health
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings, HttpTlsSettings

TOKEN = "a-first-token-0123456789"


@dataclass(frozen=True, slots=True)
class Protected:
    port: int
    cert: Path
    ca: Path
    tokens: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def command(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "worker", *arguments],
            env=inherited | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    authority = trustme.CA()
    paths = tmp_path / "server.pem", tmp_path / "ca.pem", tmp_path / "tokens"
    # No name that `health` connects to.
    made = authority.issue_cert("classify.example.org", "127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(str(paths[0]))
    authority.cert_pem.write_to_path(str(paths[1]))
    paths[2].write_text(f"# of Monday\n{TOKEN}\n")
    paths[2].chmod(0o600)
    return paths


@pytest.fixture
async def protected(files: tuple[Path, Path, Path]) -> AsyncIterator[Protected]:
    cert, ca, tokens = files
    metrics = Metrics()
    settings = HttpSettings(
        host="127.0.0.1",
        port=0,
        token_file=tokens,
        protect_metrics=True,
        tls=HttpTlsSettings(cert_file=cert, key_file=cert),
    )
    server = HttpServer(settings, Health(60.0, metrics, kafka=False), metrics, None)
    await server.start()
    yield Protected(server.port, cert, ca, tokens)
    await server.stop()


async def test_health_asks_over_tls_without_a_token(protected: Protected) -> None:
    environ = {
        "WORKER_HTTP__HOST": "127.0.0.1",
        "WORKER_HTTP__PORT": str(protected.port),
        "WORKER_HTTP__TLS__CERT_FILE": str(protected.cert),
        "WORKER_HTTP__TLS__KEY_FILE": str(protected.cert),
    }
    at_once = await protected.command("health", **environ)
    assert (at_once.returncode, at_once.stdout, at_once.stderr) == (0, "ok\n", "")
    whole = await protected.command("health", "--timeout", "30", **environ)
    assert (whole.returncode, whole.stdout) == (0, "ok\n")
    plain = await protected.command(
        "health", WORKER_HTTP__HOST="127.0.0.1", WORKER_HTTP__PORT=str(protected.port)
    )
    assert plain.returncode == 1
    assert "no worker answers" in plain.stderr


async def test_top_shows_a_token_and_trusts_an_authority(protected: Protected) -> None:
    once = ("top", "--once", "-n", "0.2", protected.url)
    trusted = ("--ca-file", str(protected.ca))
    good = await protected.command(*once, *trusted, "--token-file", str(protected.tokens))
    assert good.returncode == 0, good.stdout + good.stderr
    assert f"127.0.0.1:{protected.port}" in good.stdout
    closed = await protected.command(*once, *trusted)
    assert closed.returncode == 1
    assert "--token-file" in closed.stdout
    strange = await protected.command(*once, "--token-file", str(protected.tokens))
    assert strange.returncode == 1
    assert TOKEN not in good.stdout + good.stderr + closed.stdout + strange.stdout


async def test_files_that_top_cannot_use_are_named(protected: Protected, tmp_path: Path) -> None:
    for option in ("--token-file", "--ca-file"):
        wrong = await protected.command("top", "--once", option, str(tmp_path / "none"))
        assert wrong.returncode == 2
        assert "none" in wrong.stderr
