"""One image on its way through the engine, which is played here."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.contract.jobs import RawImage
from worker.engine.engine import Engine
from worker.engine.portal import Portal
from worker.errors import JobError, PredictorError, Reason
from worker.predict.image_call import ImageCall
from worker.predict.inputs import Source


class Played:
    """A portal and its engine: it finds nothing, or does not answer."""

    def __init__(self, *, answers: bool = True, stalled: str = "") -> None:
        self.asked: list[object] = []
        self._answers = answers
        self.value = SimpleNamespace(
            classify=self._classify,
            stalled=lambda: stalled == "pool",
            images_stalled=lambda: stalled == "images",
        )

    async def _classify(self, image: object, *_: object, **__: object) -> None:
        self.asked.append(image)
        raise JobError(Reason.NOT_FOUND, "there is nothing")

    def submit(self, call: Coroutine[Any, Any, object]) -> Future[object]:
        future: Future[object] = Future()
        if self._answers:
            future.set_result(asyncio.run(call))
        else:
            call.close()
        return future


def begin(played: Played, image: Path | RawImage) -> ImageCall:
    return ImageCall(cast("Portal[Engine]", played), Source(None, image), top_k=1, most=1)


def test_a_path_means_what_it_meant_when_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    played = Played()
    begin(played, Path("image.png")).wait()
    assert played.asked == [tmp_path / "image.png"]


def test_a_path_below_a_directory_that_is_gone_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    answer = begin(Played(), Path("image.png")).wait()
    assert isinstance(answer, JobError)
    assert answer.reason is Reason.NOT_FOUND


@pytest.mark.parametrize(("what", "named"), [("pool", "predictor"), ("images", "image")])
def test_an_answer_is_not_waited_for_without_processes(
    monkeypatch: pytest.MonkeyPatch, what: str, named: str
) -> None:
    monkeypatch.setattr("worker.predict.image_call.CHECK_INTERVAL", 0.01)
    call = begin(Played(answers=False, stalled=what), RawImage(b""))
    with pytest.raises(PredictorError, match=f"the {named} processes cannot be started again"):
        call.wait()
