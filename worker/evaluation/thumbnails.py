"""Small pictures of the most confident mistakes, made while their pixels are at hand."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST", "SIDE", "Thumbnails"]

MOST = 150
"""Pictures that are kept, some kilobytes each, so that a report of any data set can be opened."""

SIDE = 160
"""Pixels of a picture's longer side."""


class Thumbnails:
    """Keeps the pictures that were offered with the highest scores.

    Args:
        most: pictures that are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # Of equal scores the earlier image stays.
        self._kept: list[tuple[float, int, bytes]] = []

    def offer(self, item: int, score: float, make: Callable[[], bytes]) -> None:
        """Keep a picture if it is among those with the highest scores.

        Args:
            item: the image's place in the data set.
            make: makes the picture; is called only if it is kept.
        """
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, (score, -item, make()))
        elif (score, -item) > self._kept[0][:2]:
            heapq.heapreplace(self._kept, (score, -item, make()))

    def pictures(self) -> dict[int, bytes]:
        """List what was kept.

        Returns:
            JPEG files by their images' places in the data set.
        """
        return {-negative: jpeg for _, negative, jpeg in self._kept}
