"""The limit: each backend alone on tensors that are ready, in every layout and several batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker.bench.child import Child
from worker.device import CPU
from worker.errors import ModelError
from worker.hpip import installed_backends
from worker.inference.placement import place
from worker.runtime.other_load import OtherLoad

__all__ = ["BATCHES", "Bare", "Layout", "best", "layouts", "measure", "measure_layout", "start"]

BATCHES = (1, 8, 32)

LEAST_SHARE = 0.1
"""Of the cores: where others had more, the estimate would be a guess."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Predictor processes side by side.

    Attributes:
        threads: CPU threads of each.
    """

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes}x{self.threads}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `str` wrote.

        Returns:
            The layout.
        """
        processes, threads = map(int, text.split("x"))
        return cls(processes, threads)


@dataclass(frozen=True, slots=True)
class Bare:
    """What all processes of one backend did together.

    Attributes:
        images_per_second: of all together; 0 if the backend cannot compute the model.
        ms_cpu_per_image: CPU time.
        problem: why it cannot, or empty.
        taken: share of its cores that other programs had meanwhile, 0 to 1.
    """

    backend: str
    layout: Layout
    batch: int
    images_per_second: float
    ms_cpu_per_image: float
    problem: str = ""
    taken: float = 0.0

    @property
    def on_free_cores(self) -> float:
        """Images per second, had no other program taken cores; an estimate.

        What others took is measured, since CPU time alone would not show that a library has pinned
        its threads to one core of two.
        """
        return self.images_per_second / max(LEAST_SHARE, 1 - self.taken)


def layouts(cores: int) -> list[Layout]:
    """Choose what to try: one process on all cores, and one of few threads per share of them.

    Returns:
        The layouts, without the same one twice.
    """
    placements = place(CPU, 0, 0, cores)
    return list(dict.fromkeys((Layout(1, cores), Layout(len(placements), placements[0].threads))))


def measure(
    model: Path,
    cores: int,
    seconds: float,
    batches: Sequence[int] = BATCHES,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Bare]:
    """Measure all installed backends.

    Every process is loaded before any is measured, and all compute at once: a library that pins its
    threads can be the fastest alone, and the slowest beside itself.

    Args:
        seconds: of each measurement.
        say: called with what is being measured.

    Yields:
        What came of each; a backend that cannot compute the model has one entry, with its problem.
    """
    for backend in ("paddle", *installed_backends()):
        for layout in layouts(cores):
            say(f"bare {backend}, {layout.processes} x {layout.threads} threads")
            try:
                yield from measure_layout(model, backend, layout, seconds, batches)
            except ModelError as error:
                yield Bare(backend, layout, 0, 0.0, 0.0, str(error))
                break


def best(measured: Sequence[Bare]) -> Bare:
    """Choose the most images per second on free cores.

    Raises:
        ModelError: no backend can compute the model.
    """
    fastest = max(measured, key=lambda each: each.on_free_cores)
    if fastest.problem:
        raise ModelError(f"no backend computes the model: {fastest.problem}")
    return fastest


def measure_layout(
    model: Path, backend: str, layout: Layout, seconds: float, batches: Sequence[int]
) -> Iterator[Bare]:
    """Measure one backend in one layout, all its processes at once.

    Args:
        seconds: of each batch.

    Yields:
        What came of each batch.

    Raises:
        ModelError: the backend cannot compute the model.
    """
    with ExitStack() as stack:
        # The first one alone: it converts the model for all.
        children = [stack.enter_context(start(model, backend, layout.threads))]
        children[0].answer()
        children += [
            stack.enter_context(start(model, backend, layout.threads))
            for _ in range(layout.processes - 1)
        ]
        for child in children[1:]:
            child.answer()
        load = OtherLoad(layout.processes * layout.threads, lambda: [each.pid for each in children])
        for batch in batches:
            load.begin()
            for child in children:
                child.ask(batch=batch, seconds=seconds)
            answers = [child.answer() for child in children]
            taken = load.taken()
            images = sum(answer["images"] for answer in answers)
            rate = sum(answer["images"] / answer["seconds"] for answer in answers)
            cpu = sum(answer["cpu"] for answer in answers)
            yield Bare(backend, layout, batch, rate, cpu / images * 1000, taken=taken)


def start(model: Path, backend: str, threads: int, descriptors: Sequence[int] = ()) -> Child:
    """Start a process that computes with one backend.

    Args:
        threads: CPU threads.
        descriptors: those that it inherits.

    Returns:
        The process, which answers when it is ready.
    """
    return Child(
        "worker.bench.bare_process",
        str(model),
        backend,
        str(threads),
        descriptors=descriptors,
        environment={"OMP_NUM_THREADS": str(threads)},
    )
