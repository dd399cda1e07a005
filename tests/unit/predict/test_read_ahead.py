"""Working ahead: in order, so far and no further, and nothing is left under way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.predict.read_ahead import work_ahead


class Image:
    """One that is under way, and has some bytes."""

    def __init__(self, number: int, nbytes: int) -> None:
        self.number = number
        self.nbytes = nbytes
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Work:
    """Begins with numbers, and keeps what it has begun."""

    def __init__(self, nbytes: int = 0) -> None:
        self.begun: list[Image] = []
        self.nbytes = nbytes

    def begin(self, number: int) -> Image:
        self.begun.append(Image(number, self.nbytes))
        return self.begun[-1]


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_all_come_in_order(count: int, in_groups: bool) -> None:
    found = work_ahead(range(10), Work().begin, count, in_groups=in_groups)
    assert [image.number for image in found] == list(range(10))


def test_so_many_are_under_way_and_no_more() -> None:
    work = Work()
    found = work_ahead(iter(range(100)), work.begin, 3, in_groups=False)
    assert work.begun == [], "nothing before the first is asked for"
    for taken in range(1, 5):
        next(found)
        assert len(work.begun) == taken + 2


def test_a_group_is_begun_when_the_one_before_has_been_taken() -> None:
    work = Work()
    found = work_ahead(iter(range(100)), work.begin, 3, in_groups=True)
    counts = []
    for _ in range(7):
        next(found)
        counts.append(len(work.begun))
    assert counts == [3, 3, 3, 6, 6, 6, 9]


def test_bytes_bound_what_is_under_way_but_one_is_always_begun() -> None:
    work = Work(nbytes=60)
    found = work_ahead(range(100), work.begin, 50, in_groups=False, max_bytes=100)
    next(found)
    assert len(work.begun) == 2
    for image in work.begun:
        image.nbytes = 1000
    next(found)
    assert len(work.begun) == 2, "the second is held still"
    next(found)
    assert len(work.begun) == 4


@pytest.mark.parametrize(("nbytes", "under_way"), [(0, 50), (1, 50), (10, 10), (1000, 4)])
def test_images_are_expected_to_hold_as_much_as_those_before(nbytes: int, under_way: int) -> None:
    """Otherwise all would have been begun before it is known what one of them takes."""
    work = Work()
    found = work_ahead(range(200), work.begin, 50, in_groups=False, few=4, max_bytes=100)
    counts = []
    for taken in range(100):
        next(found).nbytes = nbytes
        counts.append(len(work.begun) - taken)
    assert counts[0] == 4
    assert counts[10] == min(4 + 10, under_way), "the first ones are not said to be like the rest"
    assert counts[-1] == under_way


@pytest.mark.parametrize("small", [0, 1, 10, 1000])
def test_large_images_after_small_ones_are_not_all_begun(small: int) -> None:
    """What so many small ones hold on average says nothing of them."""
    sizes = [1] * small + [30] * 100
    work = Work()
    found = work_ahead(range(small + 100), work.begin, 50, in_groups=False, few=4, max_bytes=100)
    for taken, _ in enumerate(found):
        # The caller is slow: all that was begun is decoded when it asks for the next one.
        under_way = work.begun[taken:]
        for image in under_way:
            image.nbytes = sizes[image.number]
        assert sum(image.nbytes for image in under_way) <= 4 * 30


def test_after_a_large_image_small_ones_are_begun_further_ahead_again() -> None:
    work = Work(nbytes=1)
    found = work_ahead(range(1000), work.begin, 50, in_groups=False, few=4, max_bytes=100)
    next(found).nbytes = 90
    under_way = []
    for taken, _ in enumerate(found, 1):
        under_way.append(len(work.begun) - taken)
    assert under_way[:10] == [4] * 10
    assert max(under_way[:100]) == 50


def test_a_group_has_its_size_whatever_its_images_are_expected_to_hold() -> None:
    """`batch_size` images are taken from an iterator; fewer only if it is known what they hold."""
    work = Work()
    found = work_ahead(range(100), work.begin, 8, in_groups=True, max_bytes=100)
    for _ in range(9):
        next(found).nbytes = 60
    assert len(work.begun) == 8 + 8, "it is not known what they hold"
    work.nbytes = 60
    for _ in range(8):
        next(found).nbytes = 60
    assert len(work.begun) == 8 + 8 + 2


def test_what_the_sources_raise_comes_after_what_was_begun_before() -> None:
    def sources() -> Iterator[int]:
        yield from range(2)
        raise TypeError("no image")

    found = work_ahead(sources(), Work().begin, 10, in_groups=False)
    assert [next(found).number for _ in range(2)] == [0, 1]
    with pytest.raises(TypeError, match="no image"):
        next(found)


def test_what_is_under_way_is_withdrawn_with_the_generator() -> None:
    work = Work()
    found = work_ahead(range(10), work.begin, 4, in_groups=False)
    next(found)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert [image.cancelled for image in work.begun] == [False, True, True, True, True]
