"""What `train` shows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from worker.cli.train_report import TrainReport

EPOCH = {"phase": "head", "loss": 0.5, "top1": 0.75, "val_loss": 0.25, "val_top1": 1.0}


def shown(*, terminal: bool) -> tuple[TrainReport, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, color_system=None)
    return TrainReport(console), stream


def go_through(report: TrainReport) -> None:
    with report:
        report.say("cutting the head off")
        report.reading(32, 64, 1)
        report.reading(64, 64, 1)
        for number in range(1, 21):
            facts = {**EPOCH, "epoch": number, "epochs": 20, "step": 1, "steps": 2}
            report.step(facts)
            report.epoch(facts, 20)


def test_without_a_terminal_there_are_some_lines() -> None:
    report, stream = shown(terminal=False)
    go_through(report)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "cutting the head off ..."
    assert "images: 64/64, 1 unreadable" in lines
    heads = [line for line in lines if line.startswith("head: ")]
    assert len(heads) == 10
    assert heads[-1] == (
        "head: epoch 20/20  loss 0.5000  top-1 0.7500  val loss 0.2500  val top-1 1.0000"
    )


def test_a_download_is_shown_whether_its_size_is_known_or_not() -> None:
    report, stream = shown(terminal=False)
    with report:
        progress = report.downloading("PP-LCNet_x1_0")
        progress(2**20, None)
        progress(2**22, 2**22)
    assert "downloading PP-LCNet_x1_0: 4.0 MiB" in stream.getvalue().splitlines()


def test_on_a_terminal_a_bar_has_loss_and_accuracy() -> None:
    report, stream = shown(terminal=True)
    go_through(report)
    text = stream.getvalue()
    assert "loss 0.5000  top-1 0.7500" in text
    assert "━" in text


def result(skipped: int, **network: Any) -> dict[str, Any]:
    names = [{"name": f"broken {number}.png", "message": "is cut off"} for number in range(skipped)]
    return {
        "model": {"directory": "best_model/inference", "digest": "sha256:00"},
        "classes": ["a", "b"],
        "data": {"images": {"train": 10, "val": 2, "test": 3}, "skipped": names},
        "best": {"phase": "head", "epoch": 7, "top1": 1.0},
        "before": {"test_top1": 0.25},
        "head": {"test_top1": 0.9},
        **network,
    }


def test_the_end_says_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    report, stream = shown(terminal=False)
    report.summarise(result(12), Path("my out"))
    out = capsys.readouterr().out
    assert "model     my out/best_model/inference" in out
    assert "images    10 train, 2 val, 3 test; 12 left out" in out
    assert (
        "test      top-1 0.9000 on the images to test with; with its new layer untrained 0.2500\n"
        in out
    )
    assert "network" not in out
    lines = stream.getvalue().splitlines()
    assert lines[0] == "left out: broken 0.png: is cut off"
    assert lines[-1] == "left out: 2 more, see train_result.json"
    assert len(lines) == 11


def test_what_was_trained_with_is_not_called_val(capsys: pytest.CaptureFixture[str]) -> None:
    found = result(0)
    found["data"]["images"]["val"] = 0
    shown(terminal=False)[0].summarise(found, Path("out"))
    out = capsys.readouterr().out
    assert "train     top-1 1.0000, head epoch 7" in out
    assert "val  " not in out


def test_a_network_that_was_no_better_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, _ = shown(terminal=False)
    report.summarise(result(0, network={"is_best": False}), Path("out"))
    assert "no better than its head alone" in capsys.readouterr().out
