"""PDF files through Python and the command line, with a real model and real photographs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from demo.images import Photograph, photographs
from worker import create_pipeline
from worker.predict import ClassificationResult, FailedInput

TIMEOUT = 60.0


@pytest.fixture(scope="module")
def known() -> list[Photograph]:
    return [photo for photo in photographs() if photo.name in {"chelsea", "coffee", "bald-eagle"}]


@pytest.fixture
def scan(known: list[Photograph], tmp_path: Path) -> Path:
    """A PDF with a photograph on each page."""
    first, *rest = (Image.open(photo.path).convert("RGB") for photo in known)
    path = tmp_path / "scan.pdf"
    first.save(path, save_all=True, append_images=rest)
    return path


def test_photographs_in_a_pdf_are_what_they_show(
    model_dir: Path, known: list[Photograph], scan: Path, tmp_path: Path
) -> None:
    with create_pipeline(model=model_dir, device="cpu") as pipeline:
        for given in (scan, scan.read_bytes()):
            for batch_size in (1, 2):
                results = list(pipeline.predict(given, batch_size=batch_size))
                assert [result["page_index"] for result in results] == [0, 1, 2]
                assert [int(result["class_ids"][0]) for result in results] == [
                    photo.class_id for photo in known
                ]
        first = next(pipeline.predict(scan))  # and lets go of the others
        assert first["input_path"] == str(scan)
        assert first.save_to_json(tmp_path).name == "scan_0_res.json"
        assert first.save_to_img(tmp_path).name == "scan_0_res.png"
        with Image.open(tmp_path / "scan_0_res.png") as picture:
            assert picture.size == first["input_img"].shape[1::-1]


def test_a_bad_page_costs_only_itself(
    model_dir: Path, known: list[Photograph], tmp_path: Path
) -> None:
    buffer, path = io.BytesIO(), tmp_path / "scan.pdf"
    photo = Image.open(known[0].path).convert("RGB").resize((300, 200))
    photo.save(buffer, "PDF", save_all=True, append_images=[photo, photo])
    parts = buffer.getvalue().split(b"/MediaBox [ 0 0 300.0 200.0 ]")
    assert len(parts) == 4
    same, huge = b"/MediaBox [ 0 0 300.0 200.0 ]", b"/MediaBox [ 0 0 14400 14400 ]"
    path.write_bytes(parts[0] + same + parts[1] + huge + parts[2] + same + parts[3])
    with create_pipeline(model=model_dir, device="cpu") as pipeline:
        results = list(pipeline.predict(path, batch_size=3, on_error="yield"))
    first, failed, third = results
    assert isinstance(first, ClassificationResult)
    assert isinstance(third, ClassificationResult)
    assert isinstance(failed, FailedInput)
    assert failed.error.message.startswith(
        "page 2 of 3: the page, at 144 pixels per inch, is 28800"
    )
    assert first["class_ids"].tolist() == third["class_ids"].tolist()


def test_the_command_line_answers_for_each_page(
    model_dir: Path, known: list[Photograph], scan: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(scan.read_bytes()[:5000])
    given = ["--input", "broken.pdf", "--input", "scan.pdf", "--model", str(model_dir)]
    done = subprocess.run(
        [sys.executable, "-m", "worker", "predict", *given, "--topk", "1", "--save_path", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    failed, *answers = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert failed["input"] == "broken.pdf"
    assert failed["reason"] == "corrupt_image"
    assert [
        (answer["page"], [each["id"] for each in answer["categories"]]) for answer in answers
    ] == [(index, [photo.class_id]) for index, photo in enumerate(known)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"scan_{index}_res.{suffix}" for index in range(3) for suffix in ("json", "png")
    ]
