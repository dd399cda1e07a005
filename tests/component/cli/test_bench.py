"""`classify-worker bench` measures a user's own model and images, without a broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.paths import IMAGES

SHORT = ("predictor.backend=paddle", "predictor.slots=1", "batching.max_batch=1")


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    settings = [word for each in SHORT for word in ("--set", each)]
    return subprocess.run(
        [sys.executable, "-m", "worker", "bench", "--no-pictures", *settings, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_model_and_images_of_ones_own_are_measured(model_dir: Path, tmp_path: Path) -> None:
    figures, drawing = tmp_path / "bench.json", tmp_path / "bench.svg"
    done = bench(
        *("--model", model_dir, "--seconds", "0.2", "--sections", "codec,engine,latency"),
        *("--output", figures, "--plot", drawing, IMAGES / "astronaut.jpg"),
    )
    assert done.returncode == 0, done.stderr
    measured = {each["name"]: each for each in json.loads(figures.read_text())["measurements"]}
    loads = [f"engine at {load} %" for load in (25, 50, 75, 90)]
    assert list(measured) == ["codec floor", "bare decode, infer, draw", "engine", *loads]
    assert measured["engine"]["images_per_second"] > 0
    assert set(measured["engine"]["ms_cpu_by_kind"]) >= {
        "event loop",
        "image processes",
        "predictors",
    }
    assert measured["engine"]["stages_ms"].keys() >= {"decode", "batch_wait", "infer"}
    for name in loads:
        latency = measured[name]["latency_ms"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"]
    assert "codec floor" in done.stdout
    assert "engine at 25 %" in done.stdout
    ET.parse(drawing)  # noqa: S314 - what was just made


def test_an_image_that_cannot_be_decoded_is_an_error(model_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no image")
    done = bench("--model", model_dir, "--sections", "codec", broken)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "broken.jpg" in done.stderr
