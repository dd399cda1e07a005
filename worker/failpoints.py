"""Faults to inject into the predictor process, for tests and drills; nothing unless the environment asks.

`WORKER_FAILPOINTS="predictor.kill=ff00ff,predictor.raise=00ff00,predictor.hang=0000ff,predictor.slow=1.5"`:
a batch that holds an image of just that colour kills the process, raises an error or never ends;
`slow` makes every batch take that many seconds more.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.errors import SettingsError

__all__ = ["VARIABLE", "Failpoints"]

VARIABLE = "WORKER_FAILPOINTS"

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Failpoints:
    """The faults of one predictor process.

    Attributes:
        kill: RGB colour of an image that ends the process with SIGKILL.
        raise_: RGB colour of an image for which the predictor raises `RuntimeError`.
        hang: RGB colour of an image for which the predictor never answers.
        slow: seconds that every batch takes in addition.
    """

    kill: Colour | None = None
    raise_: Colour | None = None
    hang: Colour | None = None
    slow: float = 0.0

    def __bool__(self) -> bool:
        """Whether any fault is set."""
        return self != Failpoints()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Failpoints:
        """The faults that `WORKER_FAILPOINTS` asks for.

        Raises:
            SettingsError: it is malformed.
        """
        values: dict[str, Colour | float] = {}
        for part in filter(None, (part.strip() for part in environ.get(VARIABLE, "").split(","))):
            match = re.fullmatch(r"predictor\.(kill|raise|hang)=([0-9a-fA-F]{6})", part)
            if match is not None:
                red, green, blue = bytes.fromhex(match[2])
                values["raise_" if match[1] == "raise" else match[1]] = (red, green, blue)
                continue
            match = re.fullmatch(r"predictor\.slow=(\d+(?:\.\d+)?)", part)
            if match is None:
                raise SettingsError(
                    f"{VARIABLE}: {part!r} is unknown; use predictor.kill|raise|hang=RRGGBB "
                    "or predictor.slow=SECONDS"
                )
            values["slow"] = float(match[1])
        return cls(**values)  # type: ignore[arg-type]  # each name is matched to its type above

    def before_batch(self, crops: npt.NDArray[np.uint8]) -> None:
        """Do to a batch `[N, H, W, 3] uint8` RGB what is asked for.

        Raises:
            RuntimeError: the batch holds an image of the colour `raise_`.
        """
        if not self:
            return
        if self.slow:
            time.sleep(self.slow)
        if _holds(crops, self.kill):
            os.kill(os.getpid(), signal.SIGKILL)
        if _holds(crops, self.hang):
            threading.Event().wait()
        if _holds(crops, self.raise_):
            raise RuntimeError("failpoint predictor.raise")


def _holds(crops: npt.NDArray[np.uint8], colour: Colour | None) -> bool:
    """Whether any image is of just that colour."""
    return colour is not None and bool((crops == np.array(colour, np.uint8)).all((1, 2, 3)).any())
