"""The example clients, run as their README says, against a worker with Kafka and HTTP."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from demo.images import photographs
from tests.support.harness import Names, Worker
from tests.support.paths import ROOT
from tests.support.workers import MakeWorker

EXAMPLES = ROOT / "examples"
CHELSEA = next(one for one in photographs() if one.name == "chelsea")
BOUND = 240.0
"""Seconds for one command; the first run of a machine downloads and compiles."""

WITH_KAFKA = ("python", "nodejs", "java", "go")
HTTP_ALONE = ("cpp", "csharp", "php")
EXAMPLE_PROGRAMS = [
    *((language, protocol) for protocol in ("http", "kafka") for language in WITH_KAFKA),
    *((language, "http") for language in HTTP_ALONE),
]


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    output: str
    errors: str


@pytest.fixture(scope="module")
def worker(make_worker: MakeWorker, broker: KafkaBroker, model_dir: Path) -> tuple[Worker, Names]:
    """A worker with Kafka and HTTP, and its topics."""
    names = Names.new()
    worker = make_worker(
        broker.bootstrap_servers,
        names,
        WORKER_HTTP__INFER="true",
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_MODEL_DIR=str(model_dir),
    ).start()
    worker.wait_until_ready()
    return worker, names


class Commands:
    """The commands of the examples; what one needs is installed or compiled when it is asked for.

    Args:
        made: a directory for what is made.
    """

    def __init__(self, made: Path, kafka_jars: Sequence[Path]) -> None:
        self._made = made
        self._jars = kafka_jars

    def __call__(self, language: str, protocol: str) -> list[str]:
        """The command of the example in a language for a protocol."""
        make: Callable[[str], list[str]] = getattr(self, f"_{language}")
        return make(protocol)

    def _python(self, protocol: str) -> list[str]:
        return [sys.executable, str(EXAMPLES / "python" / f"{protocol}_client.py")]

    def _nodejs(self, protocol: str) -> list[str]:
        home = self._made / "nodejs"
        if not home.exists():
            shutil.copytree(
                EXAMPLES / "nodejs", home, ignore=shutil.ignore_patterns("node_modules")
            )
            self._run([tool("npm"), "ci", "--no-audit", "--no-fund"], home)
        return [tool("node"), str(home / f"{protocol}_client.mjs")]

    def _java(self, protocol: str) -> list[str]:
        tool("javac")  # the launcher of single files needs the compiler
        names = {"http": "HttpExample.java", "kafka": "KafkaExample.java"}
        path = os.pathsep.join(map(str, self._jars))
        return [tool("java"), "-cp", path, str(EXAMPLES / "java" / names[protocol])]

    def _go(self, protocol: str) -> list[str]:
        program = self._made / f"go-{protocol}"
        if not program.exists():
            self._run([tool("go"), "build", "-o", str(program), f"./{protocol}"], EXAMPLES / "go")
        return [str(program)]

    def _cpp(self, _: str) -> list[str]:
        program = self._made / "cpp"
        source = str(EXAMPLES / "cpp/http_client.cpp")
        libraries = self._flags("cpp-httplib")
        self._run([tool("g++"), "-std=c++17", source, "-o", str(program), *libraries], self._made)
        return [str(program)]

    def _csharp(self, _: str) -> list[str]:
        program = self._made / "HttpExample.exe"
        source = str(EXAMPLES / "csharp/HttpExample.cs")
        libraries = ["-r:System.Net.Http.dll", *self._flags("newtonsoft-json")]
        self._run([tool("mcs"), f"-out:{program}", source, *libraries], self._made)
        return [tool("mono"), str(program)]

    def _php(self, _: str) -> list[str]:
        return [tool("php"), str(EXAMPLES / "php/http_client.php")]

    def _flags(self, library: str) -> list[str]:
        command = [tool("pkg-config"), "--cflags", "--libs", library]
        return self._run(command, self._made).output.split()

    def _run(self, command: Sequence[str], directory: Path) -> Ran:
        done = run(command, directory)
        assert done.status == 0, f"{done.errors}\nDoes scripts/clients.sh help?"
        return done


@pytest.fixture(scope="module")
def commands(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("examples"), kafka_jars)


@pytest.mark.parametrize(("language", "protocol"), EXAMPLE_PROGRAMS)
def test_example(
    language: str,
    protocol: str,
    worker: tuple[Worker, Names],
    broker: KafkaBroker,
    commands: Commands,
    tmp_path: Path,
) -> None:
    service, names = worker
    arguments = {
        "http": [f"http://127.0.0.1:{service.port}"],
        "kafka": [broker.bootstrap_servers, names.jobs, names.results],
    }[protocol]
    command = commands(language, protocol)

    good = run([*command, str(CHELSEA.path), *arguments], tmp_path)
    assert (good.status, len(good.output.splitlines())) == (0, 5), good
    assert re.match(rf"0\.\d{{5}}  {CHELSEA.label}", good.output)
    assert (tmp_path / "classified.jpg").read_bytes().startswith(b"\xff\xd8")

    bad = run([*command, "http://10.0.0.1/cat.jpg", *arguments], tmp_path)
    assert bad.status == 1
    assert "403: the URL leads to 10.0.0.1" in bad.errors


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"{name} is not on this machine; install it to run the examples in its language "
            "(scripts/clients.sh installs some)"
        )
    return found


def run(command: Sequence[str], directory: Path) -> Ran:
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"NO_PROXY": "127.0.0.1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
