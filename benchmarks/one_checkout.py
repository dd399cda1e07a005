"""Measures the checkout that is on the path: `one_checkout.py MODEL IMAGES SECONDS PICTURES`.

Run by `benchmarks.images_in_flight`, by path, with other checkouts too: it uses only what all have.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.engine.engine import Engine
from worker.failpoints import Failpoints
from worker.inference.placement import available_cores, place
from worker.metrics import Metrics
from worker.model import load_model_spec
from worker.settings import Settings

PHOTOGRAPHS = ("astronaut.jpg", "coffee.jpg", "china.jpg")
IN_FLIGHT = 256
WARM_SECONDS = 3.0


async def measure(model: Path, images: Path, seconds: float, *, pictures: bool) -> None:
    """Print the figures as a line of JSON."""
    settings = Settings()
    files = [(images / name).read_bytes() for name in PHOTOGRAPHS]
    metrics, budget = Metrics(), Budget(10**6, 2**40)
    placements = place(settings.device, 0, 0, available_cores())
    began = time.perf_counter()
    engine = Engine(load_model_spec(model), placements, settings, Failpoints(), metrics)
    async with AsyncExitStack() as stack:
        await engine.start(stack)
        started = time.perf_counter() - began
        done, end = 0, False

        async def work(number: int) -> None:
            nonlocal done
            while not end:
                held = budget.reserve(0)
                job = Job(RawImage(files[number % len(files)]), visualize=pictures)
                outcome = await engine.process(job, held)
                held.release()
                assert isinstance(outcome, Success), outcome
                done += 1
                number += IN_FLIGHT

        working = [asyncio.create_task(work(number)) for number in range(IN_FLIGHT)]
        await asyncio.sleep(WARM_SECONDS)
        images_before, cpu_before, at = done, _cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        count, cpu, took = done - images_before, _cpu(), time.perf_counter() - at
        memory = sum(process.memory_info().rss for process in _tree())
        end = True
        await asyncio.gather(*working)
    spent = {name: cpu[name] - cpu_before[name] for name in cpu}
    figures = {
        "images per second": count / took,
        "ms of CPU per image": sum(spent.values()) / count * 1000,
        "ms of CPU, worker's process": spent["own"] / count * 1000,
        "ms of CPU, other processes": spent["others"] / count * 1000,
        "seconds to start": started,
        "resident MB": memory / 1e6,
    }
    print(json.dumps(figures))


def _tree() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _cpu() -> dict[str, float]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = [process.cpu_times() for process in _tree()[1:]]
    return {
        "own": own.ru_utime + own.ru_stime,
        "others": sum(times.user + times.system for times in others),
    }


if __name__ == "__main__":
    model, images, seconds, pictures = sys.argv[1:]
    asyncio.run(measure(Path(model), Path(images), float(seconds), pictures=pictures == "1"))
