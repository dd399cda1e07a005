"""Which pictures of mistakes are kept."""

from __future__ import annotations

from functools import partial

from worker.evaluation.thumbnails import Thumbnails


def test_those_with_the_highest_scores_are_kept_and_no_others_are_made() -> None:
    made: list[int] = []

    def make(item: int) -> bytes:
        made.append(item)
        return f"picture {item}".encode()

    thumbnails = Thumbnails(most=2)
    for item, score in enumerate([0.5, 0.9, 0.4, 0.7, 0.7]):
        thumbnails.offer(item, score, partial(make, item))
    assert thumbnails.pictures() == {1: b"picture 1", 3: b"picture 3"}
    assert made == [0, 1, 3]
