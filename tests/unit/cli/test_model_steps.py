"""What a change of the model is doing is asked for, and said, until the change has ended."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.cli.model_request import Answer, NoAnswerError, request
from worker.cli.model_steps import follow


def test_each_step_is_said_until_the_change_has_ended() -> None:
    ended = threading.Event()
    said: list[str] = []
    steps: list[object] = ["loading", None, {"change": None}, "checking golden images", "late"]

    def ask() -> Answer:
        step = steps.pop(0)
        if step is None:
            raise NoAnswerError("it is busy")
        if step == "late":
            ended.set()
        result = step if isinstance(step, dict) else {"change": {"wanted": "x", "step": step}}
        return Answer(200, "Success", result)

    follow(ask, said.append, ended, 0.0)
    assert steps == []
    assert said == ["loading", "checking golden images"]


def test_where_nothing_answers_the_option_for_another_address_is_named() -> None:
    def refuse(*_: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    connection = SimpleNamespace(request=refuse, close=lambda: None)
    address = SimpleNamespace(
        path="/metrics",
        name="127.0.0.1:8080",
        credentials=SimpleNamespace(token=""),
        connect=lambda _: connection,
    )
    with pytest.raises(NoAnswerError, match=r"127\.0\.0\.1:8080: Connection refused; --url says"):
        request(cast("Any", address), "model", 1.0)
