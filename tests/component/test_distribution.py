"""The wheel and the source distribution: what is in them, and that both can be installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from worker import __version__

BOUND = 240.0


def run(*command: str | Path, **options: str | Path) -> str:
    done = subprocess.run(
        list(command),
        timeout=BOUND,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `make build` makes: the wheel, from the source distribution, by the locked backend."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, cwd=ROOT)
    (wheel,), (source,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return {"wheel": wheel, "source": source}


@pytest.fixture(scope="module")
def metadata(made: dict[str, Path]) -> Message:
    with zipfile.ZipFile(made["wheel"]) as wheel:
        return message_from_bytes(wheel.read(f"classify_worker-{__version__}.dist-info/METADATA"))


def test_the_wheel_has_all_of_the_package_and_nothing_else(made: dict[str, Path]) -> None:
    with zipfile.ZipFile(made["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    information = f"classify_worker-{__version__}.dist-info/"
    assert {name for name in names if name.startswith("worker/")} == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "worker").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if not name.startswith(("worker/", information))} == set()


def test_the_source_distribution_has_what_tests_and_documents_need(made: dict[str, Path]) -> None:
    with tarfile.open(made["source"]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    top = {name.split("/")[0] for name in names}
    assert {"Makefile", "README.md", "demo", "docs", "requirements", "tests", "worker"} <= top
    assert not top & {".ci", ".git", ".venv", "build", "dist", "out"}


def test_the_metadata_is_valid_and_has_the_one_version(
    made: dict[str, Path], metadata: Message
) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *made.values())
    assert (metadata["Name"], metadata["Version"]) == ("classify-worker", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_it_can_be_installed_and_starts(made: dict[str, Path], kind: str, tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    python = tmp_path / "bin/python"
    packages = next(tmp_path.glob("lib/python3*/site-packages"))
    # What it depends on, and the build backend, are those of this interpreter.
    shared = [path for path in sys.path if "site-packages" in path]
    (packages / "shared.pth").write_text("\n".join(shared), "utf-8")
    run(
        *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"),
        *("install", "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed"),
        made[kind],
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    version = run(tmp_path / "bin/classify-worker", "--version", cwd=tmp_path, env=environ)  # type: ignore[arg-type]
    assert __version__ in version
    where = run(python, "-c", "import worker; print(worker.__file__)", cwd=tmp_path, env=environ)  # type: ignore[arg-type]
    assert Path(where.strip()).is_relative_to(packages)
