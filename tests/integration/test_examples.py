"""The example clients, run as their README says, against a worker with both doors."""

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

from tests.integration.conftest import MakeWorker
from tests.integration.harness import Names, Worker
from worker.demo.broker import KafkaBroker
from worker.demo.images import photographs

EXAMPLES = Path(__file__).parents[2] / "examples"
CHELSEA = next(one for one in photographs() if one.name == "chelsea")
BOUND = 240.0
"""Seconds for one command; the first run of a machine downloads and compiles."""

DOORS = ("http", "kafka")
LANGUAGES = ("python", "nodejs", "java", "go")


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    output: str
    errors: str


@pytest.fixture(scope="module")
def worker(make_worker: MakeWorker, broker: KafkaBroker, model_dir: Path) -> tuple[Worker, Names]:
    """A worker with both doors open, and its topics."""
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


@pytest.fixture(scope="module")
def commands(
    kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], list[str]]:
    """The command of the example in a language for a door; what it needs is installed first."""
    made = tmp_path_factory.mktemp("examples")

    def nodejs(door: str) -> list[str]:
        home = made / "nodejs"
        if not home.exists():
            shutil.copytree(
                EXAMPLES / "nodejs", home, ignore=shutil.ignore_patterns("node_modules")
            )
            assert run([tool("npm"), "ci", "--no-audit", "--no-fund"], home).status == 0
        return [tool("node"), str(home / f"{door}_client.mjs")]

    def java(door: str) -> list[str]:
        tool("javac")  # the launcher of single files needs the compiler
        names = {"http": "HttpExample.java", "kafka": "KafkaExample.java"}
        path = os.pathsep.join(map(str, kafka_jars))
        return [tool("java"), "-cp", path, str(EXAMPLES / "java" / names[door])]

    def go(door: str) -> list[str]:
        program = made / f"go-{door}"
        if not program.exists():
            built = run([tool("go"), "build", "-o", str(program), f"./{door}"], EXAMPLES / "go")
            assert built.status == 0, built.errors
        return [str(program)]

    def python(door: str) -> list[str]:
        return [sys.executable, str(EXAMPLES / "python" / f"{door}_client.py")]

    makers = {"python": python, "nodejs": nodejs, "java": java, "go": go}
    return lambda language, door: makers[language](door)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_example(
    language: str,
    door: str,
    worker: tuple[Worker, Names],
    broker: KafkaBroker,
    commands: Callable[[str, str], list[str]],
    tmp_path: Path,
) -> None:
    service, names = worker
    arguments = {
        "http": [f"http://127.0.0.1:{service.port}"],
        "kafka": [broker.bootstrap_servers, names.jobs, names.results],
    }[door]
    command = commands(language, door)

    good = run([*command, str(CHELSEA.path), *arguments], tmp_path)
    assert (good.status, len(good.output.splitlines())) == (0, 5), good
    assert re.match(rf"0\.\d{{5}}  {CHELSEA.label}", good.output)
    assert (tmp_path / "classified.jpg").read_bytes().startswith(b"\xff\xd8")

    bad = run([*command, "http://10.0.0.1/cat.jpg", *arguments], tmp_path)
    assert bad.status == 1
    assert "403: the URL leads to 10.0.0.1" in bad.errors


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is missing; install it to run the examples in its language"
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
