"""`python -m benchmarks.images_in_flight`: checkouts side by side, images in and pictures out.

What a change of the data path between a job and its outcome costs: no broker, no HTTP. The engine
of each checkout gets as many jobs at a time as a worker has in flight, again and again in turn, so
that whatever else the machine does falls on all alike. The ratios are what counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.architectures import ARCHITECTURES, prepare_architecture
from worker.cache import cache_directory

ONE = Path(__file__).with_name("one_checkout.py")


def main(
    architecture: Annotated[str, typer.Argument(help=f"One of {', '.join(ARCHITECTURES)}.")],
    checkouts: Annotated[list[Path], typer.Argument(help="Directories; the first is the base.")],
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Times that all are measured in turn.")] = 5,
    pictures: Annotated[bool, typer.Option(help="Whether results have pictures.")] = True,
) -> None:
    """Measure each checkout in turn, and print medians and their ratios to the first."""
    model = prepare_architecture(architecture, cache_directory())
    images = Path("tests/data/images").resolve()
    figures: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in checkouts}
    for number in range(rounds):
        # There and back again: what the machine does more and more, or less, falls on all alike.
        for checkout in checkouts if number % 2 == 0 else reversed(checkouts):
            rows = figures[checkout]
            command = [sys.executable, "-P", str(ONE), str(model), str(images), str(seconds)]
            done = subprocess.run(
                [*command, str(int(pictures))],
                env={**os.environ, "PYTHONPATH": str(checkout.resolve()), "WORKER_MODEL": "any"},
                stdout=subprocess.PIPE,
                check=True,
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(checkout, {name: round(value, 2) for name, value in rows[-1].items()})
    base = figures[checkouts[0]]
    for checkout, rows in figures.items():
        for name in base[0]:
            value, other = _median(rows, name), _median(base, name)
            print(f"{checkout!s:30} {name:28} {value:9.2f}  {value / other if other else 0:.3f}")


def _median(rows: list[dict[str, float]], name: str) -> float:
    values = sorted(row[name] for row in rows)
    return values[len(values) // 2]


if __name__ == "__main__":
    typer.run(main)
