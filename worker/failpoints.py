"""Faults on demand, so that tests can prove what the worker does about them.

`WORKER_FAILPOINTS="predictor.kill=ff00ff,predictor.slow=1.5,decode.hang=0000ff"`: a batch that
holds a crop of nothing but that colour (`RRGGBB`) triggers the fault in the predictor process,
every batch takes that many seconds longer, and a crop of the last colour hangs the image process
that decoded it. With `predictor.instant=1` predictors answer at once, the same for every image, so
that a benchmark can see what all the rest takes. Unset, as in production, this costs two
comparisons a batch and two an image.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt

from worker.errors import SettingsError

__all__ = ["VARIABLE", "Failpoints"]

VARIABLE = "WORKER_FAILPOINTS"

Colour = tuple[int, int, int]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise RuntimeError("failpoint predictor.raise")


def _hang() -> None:
    while True:
        time.sleep(3600)


def _segv() -> None:
    # Sent rather than caused: reading address 0 would be reported by some sanitizers first.
    os.kill(os.getpid(), signal.SIGSEGV)


def _loop() -> None:
    while True:
        pass


def _memory() -> None:
    blocks = []
    while True:
        blocks.append(np.empty(_BLOCK, np.uint8))  # not touched, so no memory of the system


def _parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    _hang()  # all that it forked ends with it


_BLOCK = 64 * 1024 * 1024
_IMAGE_ACTIONS: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "segv": _segv,
        "kill": _kill,
        "hang": _hang,
        "loop": _loop,
        "memory": _memory,
        "parent": _parent,
    }
)
_ACTIONS: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "predictor.kill": _kill,
        "predictor.raise": _raise,
        "predictor.hang": _hang,
        **{f"decode.{name}": action for name, action in _IMAGE_ACTIONS.items()},
        **{f"draw.{name}": action for name, action in _IMAGE_ACTIONS.items()},
    }
)
_PREDICTOR, _DECODE, _DRAW = "predictor.", "decode.", "draw."
_SLOW, _INSTANT = "predictor.slow", "predictor.instant"


@dataclass(frozen=True, slots=True)
class Failpoints:
    """Which faults to inject, and for which crops.

    Attributes:
        actions: for each colour the action's name: `predictor.kill` ends the process with SIGKILL,
            `predictor.raise` raises RuntimeError, `predictor.hang` never returns. In the image
            process, after decoding or before drawing, `decode.` and `draw.` with `segv` and
            `kill` end it with that signal; `hang` never returns, `loop` takes processor time
            without end, `memory` takes memory without end, and `parent` ends the process that forks
            all others.
        slow: seconds by which each batch is held up.
        instant: whether batches are answered without computing anything; neither backends nor batch
            sizes are measured then.
    """

    actions: tuple[tuple[Colour, str], ...] = ()
    slow: float = 0.0
    instant: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the failpoints in `WORKER_FAILPOINTS`.

        Returns:
            The failpoints; none when the variable is unset or empty.

        Raises:
            SettingsError: a failpoint is unknown or its value is wrong.
        """
        actions: list[tuple[Colour, str]] = []
        slow, instant = 0.0, False
        for entry in filter(str.strip, environ.get(VARIABLE, "").split(",")):
            name, _, value = (part.strip() for part in entry.partition("="))
            if name == _SLOW:
                slow = _seconds(value)
            elif name == _INSTANT:
                instant = _switched_on(value)
            elif name in _ACTIONS:
                actions.append((_colour(name, value), name))
            else:
                known = ", ".join((*_ACTIONS, _SLOW, _INSTANT))
                raise SettingsError(f"{VARIABLE}: {name!r} is not one of {known}")
        return cls(tuple(actions), slow, instant)

    def __bool__(self) -> bool:
        """Whether anything is set: worth a warning when the worker starts."""
        return bool(self.actions or self.slow or self.instant)

    def before_batch(self, crops: npt.NDArray[np.uint8]) -> None:
        """Inject the faults that are due for a batch.

        Args:
            crops: `[N, H, W, 3] uint8` RGB.

        Raises:
            RuntimeError: a crop has the colour of `predictor.raise`.
        """
        if not self:
            return
        if self.slow:
            time.sleep(self.slow)
        self._inject(_PREDICTOR, crops)

    def after_decoding(self, crop: npt.NDArray[np.uint8]) -> None:
        """Inject the faults that are due for an image, in the process that decoded it.

        Args:
            crop: `[H, W, 3] uint8` RGB.

        Raises:
            MemoryError: it has the colour of `decode.memory`.
        """
        if self.actions:
            self._inject(_DECODE, crop[np.newaxis])

    def before_drawing(self, picture: npt.NDArray[np.uint8]) -> None:
        """Inject the faults that are due for a picture, in the process that draws it.

        Args:
            picture: `[H, W, 3] uint8` BGR.

        Raises:
            MemoryError: it has the colour of `draw.memory`.
        """
        if self.actions:
            self._inject(_DRAW, picture[np.newaxis, :, :, ::-1])

    def _inject(self, where: str, images: npt.NDArray[np.uint8]) -> None:
        for colour, action in self.actions:
            if action.startswith(where) and _holds(images, colour):
                _ACTIONS[action]()


def _holds(crops: npt.NDArray[np.uint8], colour: Colour) -> bool:
    """Whether one of the crops is of nothing but that colour."""
    return bool(np.any(np.all(crops == np.array(colour, np.uint8), axis=(1, 2, 3))))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise SettingsError(f"{VARIABLE}: {_SLOW}={text!r} is not a number of seconds up to 3600")
    return seconds


def _switched_on(text: str) -> bool:
    if text != "1":
        raise SettingsError(f"{VARIABLE}: {_INSTANT}={text!r} is not 1, which switches it on")
    return True


def _colour(name: str, text: str) -> Colour:
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError as error:
        raise SettingsError(f"{VARIABLE}: {name}={text!r} is not a colour as RRGGBB") from error
    return red, green, blue
