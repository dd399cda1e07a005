"""What predictor processes and their owner say survives the way, and answers are checked."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worker.device import CPU, Device
from worker.failpoints import Failpoints
from worker.inference.protocol import (
    MAX_CLASSES,
    DropSolo,
    Failed,
    Loaded,
    Ran,
    Run,
    SharedBatch,
    Start,
    read_answer,
    read_request,
    read_start,
    to_message,
)
from worker.kernels import Kernels
from worker.model import AllAbove, BestAbove, BestOnes, CenterCrop, ModelSpec, Normalize, Resize
from worker.runtime.messages import BadMessageError
from worker.runtime.processes import anonymous_file

SPEC = ModelSpec(
    name="a model",
    directory=Path(os.fsdecode(b"/models/\xff")),
    program=Path(os.fsdecode(b"/models/\xff/inference.json")),
    params=Path(os.fsdecode(b"/models/\xff/inference.pdiparams")),
    resize=Resize(256, None, "bicubic", "pil"),
    crop=CenterCrop(224, 192),
    normalize=Normalize(1 / 255, (0.1, 0.2, 0.3), (1.0, 1 / 3, 2e-7)),
    labels=(),
    top_k=5,
    digest="sha256:00",
    channels="BGR",
)
START = Start(SPEC, CPU, 2, 8, Failpoints(), "paddle")


def travelled(message: Mapping[str, object]) -> dict[str, object]:
    read: dict[str, object] = json.loads(json.dumps(message, allow_nan=False))
    return read


@pytest.mark.parametrize(
    "start",
    [
        START,
        replace(START, spec=replace(SPEC, rule=BestAbove())),
        replace(START, spec=replace(SPEC, rule=AllAbove(), resize=None)),
        replace(START, spec=replace(SPEC, crop=None, resize=Resize(None, (32, 48)))),
        replace(START, device=Device("gpu", (3,)), backend="openvino"),
        replace(START, kernels=Kernels("fp16", tensorrt=True), buffers=2),
        replace(
            START,
            failpoints=Failpoints((((255, 0, 9), "predictor.kill"), ((0, 0, 0), "decode.hang")), 2),
        ),
    ],
)
def test_what_to_load_arrives_as_it_was_sent(start: Start) -> None:
    read = read_start(travelled(to_message(start)))
    assert read == start
    assert hash(read) == hash(start)  # tuples, where JSON has lists
    assert type(read.spec.rule) is type(start.spec.rule)
    assert read.spec.input_size == start.spec.input_size


def test_a_rule_arrives_as_its_kind() -> None:
    for rule in (BestOnes(), BestAbove(), AllAbove()):
        read = read_start(travelled(to_message(replace(START, spec=replace(SPEC, rule=rule)))))
        assert read.spec.rule.activation == rule.activation


@pytest.mark.parametrize(
    "request_", [Run(7), Run(1, solo_threads=2), Run(3, first=8, part=2), DropSolo()]
)
def test_a_request_arrives_as_it_was_sent(request_: Run | DropSolo) -> None:
    assert read_request(travelled(to_message(request_))) == request_


@pytest.mark.parametrize(
    "answer",
    [Loaded(1000, "paddle+onednn"), Ran(0.25, 0.5), Failed("no"), Failed("no library", unfit=True)],
)
def test_answers_arrive_as_they_were_sent(answer: Loaded | Ran | Failed) -> None:
    assert read_answer(travelled(to_message(answer))) == answer


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"Loaded": None},
        {"Loaded": [1000, "paddle"]},
        {"Loaded": {"classes": 1000}},
        {"Loaded": {"classes": 1000, "backend": 5}},
        {"Loaded": {"classes": 0, "backend": "paddle"}},
        {"Loaded": {"classes": MAX_CLASSES + 1, "backend": "paddle"}},
        {"Loaded": {"classes": 2**70, "backend": "paddle"}},
        {"Loaded": {"classes": True, "backend": "paddle"}},
        {"Ran": {}},
        {"Ran": {"seconds": -1, "cpu_seconds": 0}},
        {"Ran": {"seconds": math.inf, "cpu_seconds": 0}},
        {"Ran": {"seconds": "0.1", "cpu_seconds": 0}},
        {"Ran": {"seconds": 0.1}},
        {"Ran": {"seconds": 0.1, "cpu_seconds": -1}},
        {"Failed": {"unfit": True}},
        {"Failed": {"why": None}},
        {"Start": {}},
        {"Run": {"count": 1}},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(BadMessageError):
        read_answer(message)


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = anonymous_file()
    yield descriptor
    os.close(descriptor)


def test_memory_is_shared_by_all_who_map_it(memory: int) -> None:
    owner, process = (SharedBatch(memory, 3, (4, 5), 7) for _ in range(2))
    owner.crops[2] = 9
    process.scores[:] = 0.5
    assert (process.crops[2] == 9).all()
    assert owner.size == len(owner._map), "what a GPU copies from lies in it"
    assert owner.scores.shape == (3, 7)
    assert owner.scores.sum(dtype=np.float64) == 3 * 7 / 2


def test_memory_cannot_be_taken_from_under_the_other_side(memory: int) -> None:
    shared = SharedBatch(memory, 3, (4, 5), 7)
    with pytest.raises(PermissionError):
        os.ftruncate(memory, 0)
    assert shared.scores.sum() == 0  # SIGBUS, if the file had become smaller
