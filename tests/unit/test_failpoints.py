"""Failpoints strike the batches they are meant for, and no other."""

import multiprocessing  # noqa: TID251 - any child will do
import signal
import time

import numpy as np
import numpy.typing as npt
import pytest

from worker.errors import SettingsError
from worker.failpoints import Failpoints

MAGENTA = (255, 0, 255)


def parse(text: str) -> Failpoints:
    return Failpoints.from_environ({"WORKER_FAILPOINTS": text})


def batch(*colours: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    crops = np.empty((len(colours), 4, 5, 3), np.uint8)
    crops[:] = np.array(colours, np.uint8)[:, None, None, :]
    return crops


def test_nothing_is_set_by_default() -> None:
    for failpoints in (Failpoints.from_environ({}), parse(""), parse(" ,")):
        assert failpoints == Failpoints()
        assert not failpoints
        failpoints.before_batch(batch(MAGENTA))


def test_all_of_them() -> None:
    failpoints = parse(
        "predictor.kill=ff00ff, predictor.raise=00FF00,predictor.hang=0000ff,predictor.slow=1.5"
    )
    assert failpoints
    assert failpoints == Failpoints(
        actions=(
            ((255, 0, 255), "predictor.kill"),
            ((0, 255, 0), "predictor.raise"),
            ((0, 0, 255), "predictor.hang"),
        ),
        slow=1.5,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "predictor.crash=1",
            (
                "WORKER_FAILPOINTS: 'predictor.crash' is not one of "
                "predictor.kill, predictor.raise, predictor.hang, decode.segv, decode.kill, "
                "decode.hang, decode.loop, decode.memory, draw.segv, draw.kill, draw.hang, "
                "draw.loop, draw.memory, predictor.slow, predictor.instant"
            ),
        ),
        (
            "predictor.kill=red",
            "WORKER_FAILPOINTS: predictor.kill='red' is not a colour as RRGGBB",
        ),
        ("predictor.kill", "WORKER_FAILPOINTS: predictor.kill='' is not a colour as RRGGBB"),
        (
            "predictor.raise=ff00ff00",
            "WORKER_FAILPOINTS: predictor.raise='ff00ff00' is not a colour as RRGGBB",
        ),
        *(
            (
                f"predictor.slow={text}",
                f"WORKER_FAILPOINTS: predictor.slow='{text}' is not a number of seconds up to 3600",
            )
            for text in ("", "soon", "-1", "nan", "inf")
        ),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_one_crop_of_the_colour_is_enough() -> None:
    failpoints = parse("predictor.raise=ff00ff")
    with pytest.raises(RuntimeError, match=r"failpoint predictor\.raise"):
        failpoints.before_batch(batch((1, 2, 3), MAGENTA))


def test_a_crop_that_differs_in_one_pixel_is_spared() -> None:
    failpoints = parse("predictor.raise=ff00ff")
    crops = batch(MAGENTA, (255, 0, 254))
    crops[0, 3, 4, 1] = 1
    failpoints.before_batch(crops)
    failpoints.before_batch(crops[:0])


def test_slow_holds_up_every_batch() -> None:
    failpoints = parse("predictor.slow=0.05")
    began = time.monotonic()
    failpoints.before_batch(batch((1, 2, 3)))
    assert time.monotonic() - began >= 0.05


def test_kill_ends_the_process_as_the_kernel_would() -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=parse("predictor.kill=ff00ff").before_batch, args=(batch(MAGENTA),)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


class WokenError(Exception):
    """Ends a sleep that would have no end."""


def test_hang_goes_on_after_each_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise WokenError

    monkeypatch.setattr("worker.failpoints.time.sleep", sleep)
    with pytest.raises(WokenError):
        parse("predictor.hang=ff00ff").before_batch(batch(MAGENTA))
    assert naps == [3600, 3600, 3600]


def test_instant_answers_are_asked_for_by_their_one_value() -> None:
    assert parse("predictor.instant=1") == Failpoints(instant=True)
    assert Failpoints(instant=True)
    assert not parse("").instant
    with pytest.raises(SettingsError, match="'yes' is not 1"):
        parse("predictor.instant=yes")
