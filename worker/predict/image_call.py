"""One image of a caller on its way through the engine."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future, wait
from pathlib import Path

import numpy as np

from worker.budget import Reservation
from worker.engine.engine import Engine
from worker.engine.pipeline import AnyImage, Classified
from worker.engine.portal import CLOSED, Portal
from worker.errors import JobError, PredictorError, Reason
from worker.images.arrays import as_bgr
from worker.images.local_files import file_errors
from worker.predict.inputs import Source
from worker.predict.patience import patiently

__all__ = ["ImageCall"]

CHECK_INTERVAL = 5.0
"""Seconds between checks that the predictors still make progress."""


class ImageCall:
    """An image that is being classified, from its construction on; used by one thread.

    Args:
        source: the image. An array is copied now, since a camera may fill it with its next frame.
        top_k: most categories.
        most: images of the largest batch that it may be in.

    Attributes:
        source: the image.
        nbytes: bytes that it holds, as far as is known.

    Raises:
        RuntimeError: the portal is closed.
    """

    def __init__(self, portal: Portal[Engine], source: Source, top_k: int, most: int) -> None:
        self.source = source
        self.nbytes = 0
        self._portal = portal
        # The portal's thread counts alone once the call has begun.
        held = Reservation(self._add, lambda: None, 0)
        self._found: Future[Classified | JobError] | JobError
        image = _own(source)
        if isinstance(image, JobError):
            self._found = image
            return
        if not isinstance(image, Path):
            self.nbytes = image.nbytes
        self._found = portal.submit(_classify(portal.value, image, held, top_k, most))

    def wait(self) -> Classified | JobError:
        """Wait for the answer.

        Returns:
            The categories and the picture, or what is wrong with the image.

        Raises:
            RuntimeError: the portal has been closed meanwhile.
            PredictorError: the predictors make no progress, or there are no image processes.
            Exception: a defect, which is not the image's fault.
        """
        if isinstance(self._found, JobError):
            return self._found
        while not wait((self._found,), CHECK_INTERVAL).done:
            if self._portal.value.stalled():
                raise PredictorError("the predictor processes cannot be started again")
            if self._portal.value.images_stalled():
                raise PredictorError("the image processes cannot be started again")
        try:
            return self._found.result()
        except CancelledError:
            raise RuntimeError(CLOSED) from None

    def cancel(self) -> None:
        """Withdraw it."""
        if isinstance(self._found, Future):
            self._found.cancel()

    def _add(self, nbytes: int) -> None:
        self.nbytes += nbytes


def _own(source: Source) -> AnyImage | JobError:
    """The content, which the caller can no longer change: an array is copied.

    A path is made absolute: it is opened by a process whose directory stays what it was.
    """
    content = source.content
    try:
        if isinstance(content, Path):
            with file_errors():
                return content.absolute()
        if not isinstance(content, np.ndarray):
            return content
        return patiently(lambda: as_bgr(content))
    except JobError as error:
        return error


async def _classify(
    engine: Engine, image: AnyImage, held: Reservation, top_k: int, most: int
) -> Classified | JobError:
    """An error is returned as a value: the traceback of a raised one would keep the image."""
    try:
        return await engine.classify(image, held, top_k=top_k, most=most)
    except JobError as error:
        return error.with_traceback(None)
    except MemoryError:
        return JobError(
            Reason.UNAVAILABLE,
            "there is no memory left for this image: free some, or read fewer at a time",
            transient=True,
        )
