"""`create_pipeline().predict` of PaddleX, or of the worker, which has the same interface.

Arguments: PACKAGE PIPELINE PICTURES COUNT plain|hpi IMAGE ... After the line that says that it is
ready, each line of standard input, a JSON object of `batch`, `pictures` and `seconds`, is answered
with one of `images`, `seconds` and `best`, the best class by file. A call has COUNT images, those
files in turn; pictures are saved in the directory PICTURES.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def measure(
    pipeline: Any,  # noqa: ANN401 - of either package
    files: Sequence[str],
    target: str,
    order: dict[str, Any],
) -> dict[str, Any]:
    """Predict all files, and again while there is time.

    Returns:
        What was done.
    """
    best: dict[str, int] = {}
    images, began = 0, time.perf_counter()
    while not images or time.perf_counter() < began + order["seconds"]:
        results = pipeline.predict(list(files), batch_size=order["batch"], topk=5)
        for path, result in zip(files, results, strict=True):
            images += 1
            best[Path(path).name] = int(result["class_ids"][0])
            if order["pictures"]:
                result.save_to_img(target)
    return {"images": images, "seconds": time.perf_counter() - began, "best": best}


def main() -> None:
    """Answer orders until there are no more."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    package, config, target, count, kind, *files = sys.argv[1:]
    create_pipeline = importlib.import_module(package).create_pipeline
    pipeline = create_pipeline(pipeline=config, use_hpip=kind == "hpi")
    called = list(itertools.islice(itertools.cycle(files), int(count)))
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(json.dumps(measure(pipeline, called, target, json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
