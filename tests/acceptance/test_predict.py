"""`classify-worker predict` and `config NAME` as a user runs them, with a real model."""

from __future__ import annotations

import http.server
import json
import os
import pty
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from demo.images import photographs

BALD_EAGLE, TIGER_CAT, ESPRESSO = 22, 282, 967
TIMEOUT = 60.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `classify-worker` in a directory of its own, where `photos` holds four files."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    by_name = {photograph.name: photograph.path for photograph in photographs()}
    shutil.copy(by_name["chelsea"], photos / "cat.png")
    shutil.copy(by_name["coffee"], photos / "more" / "coffee.png")
    shutil.copy(by_name["bald-eagle"], photos / "more" / "cat.jpg")
    (photos / "broken.jpg").write_text("this is no image")

    def start(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"NO_PROXY": "127.0.0.1", "PYTHONPATH": os.fspath(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return start


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of the test's directory on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    handler = partial(Quiet, directory=os.fspath(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_directory_with_a_bad_file(run: Run, model_dir: Path, tmp_path: Path) -> None:
    done = run(
        *("predict", "--input", "photos", "--model", model_dir, "--device", "cpu"),
        *("--topk", "3", "--batch_size", "2", "--save_path", "out"),
    )
    assert done.returncode == 1, done.stderr
    broken, cat, eagle, coffee = lines(done)
    assert [each["input_path"] for each in (broken, cat, eagle, coffee)] == [
        "photos/broken.jpg",
        "photos/cat.png",
        "photos/more/cat.jpg",
        "photos/more/coffee.png",
    ]
    assert broken["error"]["reason"] == "not_an_image"
    assert cat["class_ids"][0] == TIGER_CAT
    assert cat["label_names"][0] == "tiger cat"
    assert eagle["class_ids"][0] == BALD_EAGLE
    assert coffee["class_ids"][0] == ESPRESSO
    assert all(len(each["scores"]) == 3 for each in (cat, eagle, coffee))
    assert done.stderr.splitlines() == [
        (
            "classify-worker: photos/broken.jpg: the file is no image that is known here "
            "(first bytes: 74 68 69 73 20 69 73 20); send JPEG, PNG, WebP, BMP, GIF or TIFF"
        ),
        "classify-worker: 1 of 4 images could not be used",
    ]
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("cat_res.json", "cat_res.png"),
        *("cat-2_res.json", "cat-2_res.jpg"),
        *("coffee_res.json", "coffee_res.png"),
    }
    assert json.loads((out / "cat_res.json").read_text("utf-8")) == cat
    with Image.open(out / "cat_res.png") as saved, Image.open(tmp_path / "photos/cat.png") as given:
        assert saved.size == given.size


def test_a_pipeline_file_and_what_wins_over_it(run: Run, model_dir: Path, tmp_path: Path) -> None:
    written = run("config", "image_classification", "--save-path", "mine")
    assert (written.returncode, written.stderr) == (0, "saved mine/image_classification.yaml\n")
    file = tmp_path / "mine" / "image_classification.yaml"
    document = yaml.safe_load(file.read_text("utf-8"))
    document["Pipeline"] |= {"model": str(model_dir), "device": "gpu:0", "topk": 1}
    file.write_text(yaml.safe_dump(document))

    done = run(
        *("predict", "--pipeline", file, "--input", "photos/cat.png", "--format", "text"),
        *("--device", "cpu"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "{'res': {'input_path': 'photos/cat.png', 'page_index': None, "
        "'class_ids': array([282], dtype=int32), 'scores': array([0."
    )

    refused = run("predict", "--pipeline", file, "--input", "photos/cat.png")
    assert refused.returncode == 3
    assert refused.stderr.startswith("classify-worker: gpu:0: the installed paddlepaddle has no CU")


def test_urls_and_patterns(run: Run, model_dir: Path, served: str) -> None:
    done = run(
        *("predict", "--model", model_dir, "--topk", "1", "--batch-size", "4"),
        *("--input", f"{served}/photos/cat.png", "--input", "photos/**/coffee.*"),
        *("--input", f"{served}/missing.jpg"),
    )
    cat, coffee, missing = lines(done)
    assert done.returncode == 1
    assert cat["input_path"] == f"{served}/photos/cat.png"
    assert (cat["class_ids"], coffee["class_ids"]) == ([TIGER_CAT], [ESPRESSO])
    assert missing["error"] == {
        "reason": "not_found",
        "message": "there is no image at the URL (HTTP 404 Not Found)",
    }


def test_a_person_at_a_terminal_gets_tables(run: Run, model_dir: Path, tmp_path: Path) -> None:
    del run  # for its directory
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "worker", "predict", "--model", str(model_dir)),
            *("--topk", "1", "--input", "photos/cat.png", "--input", "photos/broken.jpg"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd()), "TERM": "xterm", "COLUMNS": "200"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        # As a whole: what one read returns may end within a character.
        shown = b"".join(iter(partial(_read, master), b"")).decode()
        assert process.wait(TIMEOUT) == 1
    os.close(master)
    assert "photos/cat.png\r\n" in shown
    assert "tiger cat" in shown
    assert "classify-worker: photos/broken.jpg: the file is no image" in shown
    assert "2/2" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict"], 2, "Missing option '--input'"),
        (["predict", "--input", "a.jpg", "--topk", "-1"], 2, "'--topk'"),
        (["predict", "--input", "a.jpg", "--format", "xml"], 2, "'xml' is not one of"),
        (
            ["predict", "--input", "a.jpg", "--pipeline", "OCR"],
            2,
            "classify-worker: pipeline 'OCR' is not known: use image_classification",
        ),
        (
            ["predict", "--input", "a.jpg", "--pipeline", "missing.yaml"],
            2,
            "classify-worker: missing.yaml cannot be read: No such file or directory",
        ),
        (
            ["predict", "--input", "a.jpg", "--device", "tpu"],
            2,
            "classify-worker: device 'tpu' is not known: use cpu, gpu:0",
        ),
        (
            ["predict", "--input", "a.jpg", "--model", "no-such-model"],
            3,
            "classify-worker: model 'no-such-model'",
        ),
        (["config", "OCR"], 2, "classify-worker: pipeline 'OCR' is not known"),
        (["config", "--save_path", "x"], 2, "name a pipeline to save"),
    ],
)
def test_mistakes(run: Run, arguments: list[str], status: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert not done.stdout


def test_a_pipelines_file_is_printed_without_a_directory(run: Run) -> None:
    done = run("config", "image_classification")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["Pipeline"].keys() == {"model", "device", "batch_size"}


def _read(master: int) -> bytes:
    """What the terminal shows next; nothing once the process has ended."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""
