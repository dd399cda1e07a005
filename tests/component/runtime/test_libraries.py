"""A system that lacks what a package needs: a sentence with the remedies, in every command."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

BOUND = 180.0

MISSING = b"libZ.so.1"


def lacking(package: str, library: str, directory: Path) -> None:
    """A package as it is installed, but for one library that needs another which is nowhere.

    What is large is linked; a copy of that library asks for `MISSING` instead of libz or librt.
    """
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    copy = directory / package
    relative = Path(library)
    for depth in range(len(relative.parts)):
        parent = Path(*relative.parts[:depth])
        (copy / parent).mkdir(parents=True)
        for entry in (installed / parent).iterdir():
            target = copy / parent / entry.name
            if entry.suffix == ".py":
                shutil.copy(entry, target)  # some look for others beside their real path
            elif entry.name != relative.parts[depth]:
                target.symlink_to(entry)
    for libraries in installed.parent.glob("opencv_python*.libs"):
        if not (directory / libraries.name).exists():
            (directory / libraries.name).symlink_to(libraries)
    content = (installed / relative).read_bytes()
    for needed in (b"\0libz.so.1\0", b"\0librt.so.1\0"):
        if needed in content:
            name = MISSING.ljust(len(needed) - 2, b"\0")
            (copy / relative).write_bytes(content.replace(needed, b"\0" + name + b"\0"))
            return
    raise AssertionError(f"{library} needs neither library")


@pytest.fixture(scope="module")
def without_opencv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("opencv")
    lacking("cv2", "cv2.abi3.so", directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def without_paddle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("paddle")
    lacking("paddle", "base/libpaddle.so", directory)
    yield directory
    shutil.rmtree(directory)


def run(
    *arguments: str, environ: Mapping[str, str], limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "WORKER_LOG__FORMAT": "console", **environ},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
        preexec_fn=limit,
    )


PIPELINE = """
import sys
from worker.errors import WorkerError
try:
    from worker import create_pipeline
    create_pipeline(model=sys.argv[1], device="cpu")
except WorkerError as error:
    assert isinstance(error, ImportError)
    sys.exit(f"classify-worker: {error}")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "worker", "run"],
        ["-m", "worker", "serve"],
        ["-m", "worker", "predict", "--input", "any.jpg", "--device", "cpu", "--model"],
        ["-c", PIPELINE],
    ],
    ids=["run", "serve", "predict", "create_pipeline"],
)
def test_opencv_without_its_libraries(
    without_opencv: Path, model_dir: Path, arguments: list[str]
) -> None:
    if arguments[-1] not in ("run", "serve"):
        arguments = [*arguments, str(model_dir)]
    done = run(*arguments, environ={"PYTHONPATH": str(without_opencv)})
    assert done.returncode == (1 if arguments[0] == "-c" else 3)
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"classify-worker: OpenCV (cv2) cannot be loaded ({MISSING.decode()}: cannot open shared "
    )
    for remedy in ("apt-get install libgl1", "pip install opencv-python-headless"):
        assert remedy in line
    assert done.stdout == ""


def test_submit_needs_no_opencv(without_opencv: Path) -> None:
    nowhere = ("--bootstrap-servers", "127.0.0.1:1")
    done = run(
        "-m", "worker", "submit", *nowhere, "a.jpg", environ={"PYTHONPATH": str(without_opencv)}
    )
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr
    assert "OpenCV" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "predict", "create_pipeline"])
def test_paddle_without_its_libraries(without_paddle: Path, model_dir: Path, command: str) -> None:
    environ = {
        "PYTHONPATH": str(without_paddle),
        "WORKER_MODEL": str(model_dir),
        # One of the others may have been selected before, and needs no Paddle.
        "WORKER_PREDICTOR__BACKEND": "paddle",
    }
    match command:
        case "serve":
            done = run("-m", "worker", "serve", "--set", "http.port=0", environ=environ)
        case "predict":
            given = ("--input", "any.jpg", "--model", str(model_dir), "--device", "cpu")
            done = run("-m", "worker", "predict", *given, environ=environ)
        case _:
            done = run("-c", PIPELINE, str(model_dir), environ=environ)
    assert done.returncode == (1 if command == "create_pipeline" else 3)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"classify-worker: PaddlePaddle cannot be loaded ({MISSING.decode()}: cannot open shared "
    )
    assert "apt-get install libgomp1" in last
    assert "Traceback" not in done.stderr


def no_files() -> None:
    """Allow no file to grow, wherever it is: what an unwritable directory comes to."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_without_a_directory_to_write_in(model_dir: Path) -> None:
    done = run(
        *("-m", "worker", "predict", "--input", "any.jpg"),
        *("--model", str(model_dir), "--device", "cpu"),
        limit=no_files,
        environ={"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("classify-worker: PaddlePaddle cannot be loaded without a directory")
    assert line.endswith("mount a writable directory at /tmp, or name one in TMPDIR")
