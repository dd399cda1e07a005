"""`classify-worker predict` and `config NAME` as a user runs them, with a real model."""

from __future__ import annotations

import csv
import http.server
import json
import os
import pty
import re
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
from tests.support.images import colour_png
from worker.image_formats import listed

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

    def start(
        *arguments: str | Path, given: str | None = None, failpoints: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker", *map(str, arguments)],
            cwd=tmp_path,
            input=given,
            env=os.environ
            | {"NO_PROXY": "127.0.0.1", "PYTHONPATH": os.fspath(Path.cwd())}
            | {"WORKER_FAILPOINTS": failpoints},
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


def best(line: dict[str, Any]) -> int:
    """The class of the best category."""
    found: int = line["categories"][0]["id"]
    return found


def test_a_directory_with_a_bad_file(run: Run, model_dir: Path, tmp_path: Path) -> None:
    done = run(
        *("predict", "--input", "photos", "--model", model_dir, "--device", "cpu"),
        *("--topk", "3", "--batch_size", "2", "--save_path", "out"),
    )
    assert done.returncode == 1, done.stderr
    broken, cat, eagle, coffee = lines(done)
    assert [each["input"] for each in (broken, cat, eagle, coffee)] == [
        "photos/broken.jpg",
        "photos/cat.png",
        "photos/more/cat.jpg",
        "photos/more/coffee.png",
    ]
    assert (broken["errorCode"], broken["reason"]) == (415, "not_an_image")
    assert best(cat) == TIGER_CAT
    assert cat["categories"][0]["name"] == "tiger cat"
    assert best(eagle) == BALD_EAGLE
    assert best(coffee) == ESPRESSO
    assert all(len(each["categories"]) == 3 for each in (cat, eagle, coffee))
    assert (cat["picture"], broken["picture"]) == ("out/cat_res.png", None)
    said = done.stderr.splitlines()
    assert re.fullmatch(r"classify-worker: 4 images in \d+\.\d s, \d+\.\d images/s", said.pop(1))
    assert said == [
        (
            "classify-worker: photos/broken.jpg: the file is no image that is known here "
            f"(first bytes: 74 68 69 73 20 69 73 20); send {listed()}"
        ),
        "classify-worker: 1 of 4 images could not be used: 1 not_an_image",
        "classify-worker: results and pictures are in out",
    ]
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("cat_res.json", "cat_res.png"),
        *("cat-2_res.json", "cat-2_res.jpg"),
        *("coffee_res.json", "coffee_res.png"),
    }
    # Saved JSON is PaddleX's.
    saved = json.loads((out / "cat_res.json").read_text("utf-8"))
    assert saved == {
        "input_path": "photos/cat.png",
        "page_index": None,
        "class_ids": [each["id"] for each in cat["categories"]],
        "scores": [each["score"] for each in cat["categories"]],
        "label_names": [each["name"] for each in cat["categories"]],
    }
    with Image.open(out / "cat_res.png") as drawn, Image.open(tmp_path / "photos/cat.png") as given:
        assert drawn.size == given.size


def test_an_image_that_crashes_its_decoder_fails_alone(
    run: Run, model_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos" / "deadly.png").write_bytes(colour_png("#ff0000"))
    done = run(
        *("predict", "--input", "photos", "--model", model_dir, "--device", "cpu"),
        failpoints="decode.segv=ff0000",
    )
    assert done.returncode == 1, done.stderr
    by_name = {each["input"]: each for each in lines(done)}
    deadly, broken = by_name.pop("photos/deadly.png"), by_name.pop("photos/broken.jpg")
    assert (deadly["errorCode"], deadly["reason"]) == (422, "corrupt_image")
    assert broken["reason"] == "not_an_image"
    found = {name: best(each) for name, each in by_name.items()}
    assert found == {
        "photos/cat.png": TIGER_CAT,
        "photos/more/cat.jpg": BALD_EAGLE,
        "photos/more/coffee.png": ESPRESSO,
    }
    told = [each for each in done.stderr.splitlines() if "photos/deadly.png" in each]
    assert len(told) == 1
    assert "crashes the decoder" in told[0]
    assert "SIGSEGV" in told[0]


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
    assert cat["input"] == f"{served}/photos/cat.png"
    assert [len(each["categories"]) for each in (cat, coffee)] == [1, 1]
    assert (best(cat), best(coffee)) == (TIGER_CAT, ESPRESSO)
    assert (missing["errorCode"], missing["reason"]) == (404, "not_found")
    assert missing["errorMsg"] == "there is no image at the URL (HTTP 404 Not Found)"


def on_terminal(tmp_path: Path, *arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """The exit code, and all that a terminal is sent while `predict` runs in the test's folder."""
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "predict", *map(str, arguments)],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": os.fspath(Path.cwd()), "TERM": "xterm", "COLUMNS": str(columns)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        # As a whole: what one read returns may end within a character.
        shown = b"".join(iter(partial(_read, master), b"")).decode()
        status = process.wait(TIMEOUT)
    os.close(master)
    return status, shown


def plain_lines(shown: str) -> list[str]:
    """The lines that stay, without styles, status and progress."""
    without_styles = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [line.rstrip("\r").rpartition("\r")[2] for line in without_styles.split("\n")]


@pytest.mark.parametrize("columns", [80, 60])
def test_a_person_at_a_terminal_gets_a_line_for_each_image(
    run: Run, model_dir: Path, tmp_path: Path, columns: int
) -> None:
    del run  # for its directory
    status, shown = on_terminal(tmp_path, "photos", "--model", model_dir, columns=columns)
    assert status == 1
    lines = plain_lines(shown)
    assert lines.count("photos/") == lines.count("photos/more/") == 1
    assert lines.index("photos/") < lines.index("photos/more/")
    row = next(line for line in lines if line.startswith("cat.png"))
    assert re.fullmatch(r"cat\.png {5}0\.\d{5}  tiger cat", row)
    assert any(re.match(r"broken\.jpg {4}error  the file is no image", line) for line in lines)
    assert "classify-worker: results and pictures" not in shown
    assert "could not be used: 1 not_an_image" in " ".join(shown.split())
    assert "4/4" in shown
    # It is seen to work before it has anything to show.
    assert 0 < shown.index(f"loading {model_dir.name} …") < shown.index("Image")
    assert all(len(line) <= columns for line in lines)


def test_one_image_at_a_terminal_gets_a_table_of_categories(
    run: Run, model_dir: Path, tmp_path: Path
) -> None:
    del run
    status, shown = on_terminal(tmp_path, "photos/cat.png", "--model", model_dir, "--topk", "2")
    lines = plain_lines(shown)
    assert status == 0
    assert "photos/cat.png" in lines
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("0.")] == [
        "   282  tiger cat".strip(),
        "   285  Egyptian cat".strip(),
    ]


def test_positional_inputs_standard_input_and_a_file_of_results(
    run: Run, model_dir: Path, tmp_path: Path
) -> None:
    done = run(
        *("predict", "photos/cat.png", "-", "--input", "photos/broken.jpg", "-k", "2"),
        *("--model", model_dir, "--output", "new/results.csv"),
        given="photos/more/coffee.png\n",
    )
    assert (done.returncode, done.stdout) == (1, "")
    with (tmp_path / "new" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["input"], row["rank"], row["errorCode"]) for row in rows] == [
        ("photos/broken.jpg", "", "415"),
        ("photos/cat.png", "1", "0"),
        ("photos/cat.png", "2", "0"),
        ("photos/more/coffee.png", "1", "0"),
        ("photos/more/coffee.png", "2", "0"),
    ]
    assert rows[1]["name"] == "tiger cat"
    assert rows[1]["model"]
    assert rows[1]["modelDigest"].startswith("sha256:")
    assert "classify-worker: results are in new/results.csv\n" in done.stderr


def test_one_result_in_the_file_that_is_named(run: Run, model_dir: Path, tmp_path: Path) -> None:
    done = run("predict", "photos/cat.png", "--model", model_dir, "--save_path", "new/out.jpg")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.jpg"]
    assert lines(done)[0]["picture"] == "new/out.jpg"
    assert done.stderr == "classify-worker: saved out.jpg in new\n"


def test_that_there_was_nothing_to_classify_is_told_and_no_model_is_loaded(run: Run) -> None:
    done = run("predict", "-", "--model", "no-such-model", given="\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == ("classify-worker: nothing was classified: the sources name no image\n")


def test_pages_at_a_url_are_counted_before_the_first_is_computed(
    run: Run, model_dir: Path, tmp_path: Path, served: str
) -> None:
    first, *rest = (Image.new("L", (8, 8), grey) for grey in (10, 120, 230))
    first.save(tmp_path / "scan.tiff", save_all=True, append_images=rest)
    done = run("predict", f"{served}/scan.tiff", "--model", model_dir, "--save-dir", "out.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "classify-worker: --save-dir out.jpg is a file for one image, and there are 3 pages in "
        f"{served}/scan.tiff: name a directory\n"
    )
    assert not (tmp_path / "out.jpg").exists()


def test_settings_of_the_worker(run: Run, model_dir: Path) -> None:
    done = run(
        *("predict", "photos/cat.png", "--set", f"model={model_dir}", "--set", "device=cpu"),
        *("--set", "predictor.top_k=1", "--set", "decode.max_pixels=1000"),
    )
    (refused,) = lines(done)
    assert (done.returncode, refused["errorCode"]) == (1, 413)
    assert "at most 1000 in all are accepted" in refused["errorMsg"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict"], 2, "Invalid value for INPUT: name an image, a directory or a URL"),
        (["predict", "--input", "a.jpg", "--topk", "-1"], 2, "'--top-k'"),
        (
            ["predict", "photos", "--save-dir", "out.jpg"],
            2,
            "classify-worker: --save-dir out.jpg is a file for one image, and there are 4:",
        ),
        (["predict", "a.jpg", "--save_path", "out.xyz"], 2, "no result is written as .xyz"),
        (["predict", "a.jpg", "--output", "out.txt"], 2, "must end in .csv or .jsonl"),
        (["predict", "a.jpg", "--set", "kafka.group_id=x"], 2, "kafka.group_id: of no effect here"),
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
            "classify-worker: predict: device is 'tpu': not a device; use cpu, gpu:0",
        ),
        (
            ["predict", "--input", "a.jpg", "--model", "no-such-model"],
            3,
            "classify-worker: there is no directory 'no-such-model', and no model of that name",
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
