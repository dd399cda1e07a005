"""What the shadow model is given, when it computes, and what is made of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.support.small_model import SPEC
from worker.clock import Clock
from worker.contract.jobs import Category, ModelIdentity, RawImage
from worker.engine.shadow import MOST_BYTES, MOST_WAITING, Shadow
from worker.errors import JobError, Reason
from worker.metrics import Metrics
from worker.model import ModelSpec, Resize

BOUND = 10.0
FIRST = replace(SPEC, labels=("cat", "dog"))
SECOND = replace(FIRST, digest="sha256:02")
OTHER_SIZE = replace(FIRST, resize=Resize(None, (4, 4)))
CAT, DOG = Category(0, "cat", 0.75), Category(1, "dog", 0.9)
IMAGE = RawImage(b"an image")


def crop() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.zeros((8, 8, 3), np.uint8)


class Images:
    """Image processes in name alone."""

    pids: tuple[int, ...] = ()

    def __init__(self) -> None:
        self.starts = 0
        self.prepared: list[object] = []
        self.held = 0
        self.error: OSError | None = None

    async def start(self) -> None:
        self.starts += 1
        if self.error is not None:
            raise self.error

    async def prepare(self, image: object, urgency: float, side: int | None) -> SimpleNamespace:
        self.prepared.append(image)
        self.held += 1
        return SimpleNamespace(crop=np.zeros((4, 4, 3), np.uint8))

    def release(self, prepared: object) -> None:
        self.held -= 1


class Bench:
    """A shadow whose predictors answer when the test lets them."""

    def __init__(self, spec: ModelSpec = SECOND, *, count: int = 1, share: float = 1.0) -> None:
        self.metrics = Metrics()
        self.images = Images()
        self.pids: list[int] = []
        self.idle = 1
        self.drawn = 0.0
        self.answers: list[object] = []
        self.crops: list[np.ndarray[Any, Any]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.slept = 0
        self.stopped = False
        slots = SimpleNamespace(
            spec=spec,
            pool=SimpleNamespace(classify=self._classify, pids=self.pids),
            images=self.images,
            identity=ModelIdentity(spec.name, spec.digest, "paddle"),
            stop=self._stop,
        )
        clock = Clock(uniform=lambda *_: self.drawn, sleep=self._sleep)
        self.shadow = Shadow(
            cast("Any", slots), count, share, lambda: self.idle, self.metrics, clock=clock
        )

    def offer(self, best: Category | None = CAT, image: RawImage = IMAGE) -> None:
        self.shadow.offer(FIRST, image, crop(), best)

    def outcomes(self) -> dict[str, float]:
        return {
            outcome: value
            for outcome in ("agreed", "differed", "dropped", "failed")
            if (value := self.value("classify_shadow_images_total", outcome=outcome))
        }

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not reached():  # noqa: ASYNC110 - a metric tells nobody
                await asyncio.sleep(0)

    async def _classify(self, pixels: np.ndarray[Any, Any], urgency: float) -> object:
        self.crops.append(pixels)
        await self.go_on.wait()
        answer = self.answers.pop(0) if self.answers else [0.8, 0.2]
        if isinstance(answer, Exception):
            raise answer
        return np.array(answer, np.float32)

    async def _sleep(self, seconds: float) -> None:
        self.slept += 1
        await asyncio.sleep(0)

    async def _stop(self) -> None:
        self.stopped = True


Make = Callable[..., Bench]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes shadows that run until the test is over."""
    running: list[tuple[Bench, asyncio.Task[None]]] = []

    def begin(*arguments: Any, **options: Any) -> Bench:
        bench = Bench(*arguments, **options)
        running.append((bench, asyncio.create_task(bench.shadow.run())))
        return bench

    yield begin
    for bench, task in running:
        assert not task.done(), "nothing ends it"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bench.shadow.stop()
        assert bench.stopped


async def test_answers_are_compared_by_class_and_score(make: Make) -> None:
    bench = make()
    bench.answers = [[0.95, 0.05], [0.4, 0.6]]
    bench.offer(CAT)
    bench.offer(DOG)
    await bench.until(lambda: bench.outcomes() == {"agreed": 2})
    difference = "classify_shadow_score_difference_ratio_sum"
    assert bench.value(difference, direction="higher") == pytest.approx(0.2)
    assert bench.value(difference, direction="lower") == pytest.approx(0.3)
    assert bench.value("classify_shadow_duration_seconds_count") == 2
    bench.offer(DOG)
    await bench.until(lambda: bench.outcomes() == {"agreed": 2, "differed": 1})


async def test_classes_are_compared_by_name(make: Make) -> None:
    bench = make(replace(SECOND, labels=("dog", "cat")))
    bench.offer(Category(0, "dog", 0.8))
    await bench.until(lambda: bench.outcomes() == {"agreed": 1})


async def test_an_image_without_an_answer_has_a_class_of_its_own_and_no_score(make: Make) -> None:
    bench = make()
    bench.offer(None)
    await bench.until(lambda: bench.outcomes() == {"differed": 1})
    for direction in ("higher", "lower"):
        name = "classify_shadow_score_difference_ratio_count"
        assert bench.value(name, direction=direction) == 0


async def test_only_its_share_is_taken(make: Make) -> None:
    bench = make(share=0.5)
    for drawn in (0.5, 0.9, 0.49):
        bench.drawn = drawn
        bench.offer()
    await bench.until(lambda: bench.outcomes() == {"agreed": 1})
    assert len(bench.crops) == 1


async def test_without_an_idle_core_nothing_is_computed_and_what_has_no_room_is_dropped(
    make: Make,
) -> None:
    bench = make()
    bench.idle = 0
    for _ in range(MOST_WAITING + 3):
        bench.offer()
    await bench.until(lambda: bench.slept > 10)
    assert bench.crops == []
    assert bench.outcomes() == {"dropped": 3}
    bench.idle = 1
    await bench.until(lambda: bench.outcomes() == {"dropped": 3, "agreed": MOST_WAITING})
    slept = bench.slept
    for _ in range(10):
        await asyncio.sleep(0)
    assert bench.slept == slept, "nothing is looked for while nothing waits"


async def test_it_takes_no_more_cores_than_are_idle(make: Make) -> None:
    bench = make(count=2)
    bench.go_on.clear()
    bench.offer()
    bench.offer()
    await bench.until(lambda: bench.slept > 10)
    assert len(bench.crops) == 1
    bench.idle = 2
    await bench.until(lambda: len(bench.crops) == 2)
    bench.go_on.set()
    await bench.until(lambda: bench.outcomes() == {"agreed": 2})


async def test_an_image_that_wakes_several_slots_is_computed_once(make: Make) -> None:
    bench = make(count=3)
    bench.idle = 3
    await asyncio.sleep(0)
    bench.offer()
    await bench.until(lambda: bench.outcomes() == {"agreed": 1})
    await asyncio.sleep(0)
    bench.offer()
    await bench.until(lambda: bench.outcomes() == {"agreed": 2})
    assert len(bench.crops) == 2


async def test_what_fails_costs_its_own_comparison(make: Make) -> None:
    bench = make()
    bench.answers = [JobError(Reason.POISON, "it breaks the network"), ValueError("a defect")]
    for _ in range(3):
        bench.offer()
    await bench.until(lambda: bench.outcomes() == {"failed": 2, "agreed": 1})


async def test_a_crop_is_copied_since_the_first_model_uses_its_memory_again(make: Make) -> None:
    bench, pixels = make(), crop()
    bench.idle = 0
    bench.shadow.offer(FIRST, IMAGE, pixels, CAT)
    pixels += 1
    bench.idle = 1
    await bench.until(lambda: len(bench.crops) == 1)
    assert not bench.crops[0].any()
    assert bench.images.starts == 0, "none are needed"


async def test_an_image_for_another_transform_is_decoded_by_processes_of_its_own(
    make: Make,
) -> None:
    bench = make(OTHER_SIZE)
    for _ in range(3):
        bench.offer()
    await bench.until(lambda: bench.outcomes() == {"agreed": 3})
    assert bench.images.prepared == [IMAGE] * 3
    assert {pixels.shape for pixels in bench.crops} == {(4, 4, 3)}
    assert (bench.images.starts, bench.images.held) == (1, 0)


async def test_image_processes_that_cannot_be_started_are_tried_again(make: Make) -> None:
    bench = make(OTHER_SIZE)
    bench.images.error = OSError("no room")
    bench.offer()
    await bench.until(lambda: bench.outcomes() == {"failed": 1})
    bench.images.error = None
    bench.offer()
    await bench.until(lambda: bench.outcomes() == {"failed": 1, "agreed": 1})
    assert bench.images.starts == 2


async def test_encoded_images_that_wait_are_bounded_by_their_bytes(make: Make) -> None:
    bench = make(OTHER_SIZE)
    bench.idle = 0
    large = RawImage(bytes(MOST_BYTES // 2 + 1))
    bench.offer(image=large)
    bench.offer(image=large)
    assert bench.outcomes() == {"dropped": 1}
    bench.idle = 1
    await bench.until(lambda: bench.outcomes() == {"dropped": 1, "agreed": 1})
    bench.offer(image=large)
    await bench.until(lambda: bench.outcomes() == {"dropped": 1, "agreed": 2})


async def test_the_metrics_show_the_model_and_whether_it_has_a_process(make: Make) -> None:
    bench = make()
    bench.shadow.show()
    labels = {"name": SECOND.name, "digest": SECOND.digest, "backend": "paddle"}
    assert bench.metrics.registry.get_sample_value("classify_shadow_up", labels) == 0
    bench.pids.append(1)
    assert bench.metrics.registry.get_sample_value("classify_shadow_up", labels) == 1
