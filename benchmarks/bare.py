"""The limit: the predictor alone, fed with tensors that are ready, on all cores.

`python benchmarks/bare.py MODEL BATCH THREADS SECONDS` is one predictor process and prints one JSON
line; `measure` runs as many side by side as the cores hold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.device import CPU
from worker.model import load_model_spec
from worker.predictor.backends.paddle import PaddleBackend

__all__ = ["Bare", "best", "measure"]

BATCHES = (1, 4, 8, 16, 32)
TRIAL_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Bare:
    """What bare predictors did together.

    Attributes:
        rate: images/s.
        cpu: CPU seconds per image.
    """

    batch: int
    processes: int
    threads: int
    rate: float
    cpu: float


def measure(model: Path, batch: int, processes: int, threads: int, seconds: float) -> Bare:
    """Run `processes` predictors of `threads` threads side by side for `seconds`."""
    # Not `-m`, which would look for every module in the current directory first.
    command = [sys.executable, "-P", __file__, str(model)]
    arguments = [str(batch), str(threads), str(seconds)]
    running = [
        subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(processes)
    ]
    # Paddle prints while it loads some networks: what is asked for comes last.
    outputs = [process.communicate(timeout=300)[0] for process in running]
    results = [json.loads(output.splitlines()[-1]) for output in outputs]
    images = sum(result["images"] for result in results)
    return Bare(
        batch,
        processes,
        threads,
        sum(result["images"] / result["seconds"] for result in results),
        sum(result["cpu"] for result in results) / images,
    )


def best(model: Path, cores: int) -> Bare:
    """The fastest batch size and layout: one predictor on all cores, or one per core."""
    layouts = {(1, cores), (cores, 1)}
    return max(_trials(model, layouts), key=lambda bare: bare.rate)


def _trials(model: Path, layouts: Iterable[tuple[int, int]]) -> Iterable[Bare]:
    for processes, threads in layouts:
        for batch in BATCHES:
            yield measure(model, batch, processes, threads, TRIAL_SECONDS)


def _run(model: Path, batch: int, threads: int, seconds: float) -> dict[str, float]:
    backend = PaddleBackend(load_model_spec(model), CPU, threads)
    height, width = load_model_spec(model).input_size
    tensors = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    backend.run(tensors)
    began, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        backend.run(tensors)
        images += batch
    return {
        "images": images,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
    }


if __name__ == "__main__":
    model_argument, batch_argument, threads_argument, seconds_argument = sys.argv[1:]
    outcome = _run(
        Path(model_argument), int(batch_argument), int(threads_argument), float(seconds_argument)
    )
    print(json.dumps(outcome))
