"""The picture of a training's course."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from worker.training.curve import draw_curve

SVG = "{http://www.w3.org/2000/svg}"


def epoch(phase: str, number: int, loss: float, top1: float) -> dict[str, Any]:
    values = {"loss": loss, "top1": top1, "val_loss": loss / 2, "val_top1": 1.0}
    return {"phase": phase, "epoch": number, **values}


def lines_of(history: list[dict[str, Any]]) -> list[list[tuple[float, float]]]:
    root = ET.fromstring(draw_curve(history, "a & b <c>"))  # noqa: S314 - made here
    assert any(text.text == "a & b <c>" for text in root.iter(f"{SVG}text"))
    drawn = [each.get("points", "").split() for each in root.iter(f"{SVG}polyline")]
    pairs = [[point.split(",") for point in points] for points in drawn]
    return [[(float(x), float(y)) for x, y in points] for points in pairs]


def test_each_series_has_a_point_an_epoch() -> None:
    history = [epoch("head", 1, 2.0, 0.25), epoch("head", 2, 1.0, 0.5), epoch("network", 1, 0, 1)]
    loss, val_loss, top1, val_top1 = lines_of(history)
    assert [len(each) for each in (loss, val_loss, top1, val_top1)] == [3] * 4
    # Downwards in the picture is less.
    assert loss[0][1] < loss[1][1] < loss[2][1]
    assert top1[0][1] > top1[1][1] > top1[2][1]
    assert len({y for _, y in val_top1}) == 1
    assert [x for x, _ in loss] == sorted(x for x, _ in loss)


def test_phases_are_named_where_they_begin() -> None:
    drawn = draw_curve([epoch("head", 1, 2.0, 0.25), epoch("network", 1, 1.0, 0.5)], "title")
    assert drawn.count(">head<") == drawn.count(">network<") == 2


def test_one_epoch_and_a_loss_of_nothing_can_be_drawn() -> None:
    assert [len(each) for each in lines_of([epoch("head", 1, 0.0, 1.0)])] == [1] * 4
