"""Training that stops anywhere goes on to the same weights: head and network, a small one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import yaml

from worker.errors import TrainingError
from worker.model import Normalize
from worker.training.crop_file import CropFile
from worker.training.phases import HEAD, NETWORK, Phase
from worker.training.plan import SPLIT_IDS
from worker.training.process.export import TOLERANCE, answer
from worker.training.process.fitting import Fitting, StoppedError
from worker.training.process.network import Network
from worker.training.process.rows import Rows
from worker.training.process.serving import Owner
from worker.training.process.state import State
from worker.training.process.subjects import Head, Subject, WholeNetwork

SIZE, FEATURES, CLASSES, IMAGES = (8, 8), 6, 3, 30
SPLITS = ["val"] * 6 + ["train"] * 20 + ["test"] * 4
PROBE = np.arange(4)
CHW = {"ToCHWImage": None}

PHASES = [
    replace(HEAD, epochs=4, batch_size=8),
    replace(NETWORK, epochs=4, batch_size=8, learning_rate=1e-3),
]


class Interrupting(Owner):
    """An owner that wants an end after so many steps, and hears what is said."""

    def __init__(self, steps: float = math.inf) -> None:
        self.heard: list[dict[str, Any]] = []
        self._left = steps

    def say(self, **facts: object) -> None:
        self.heard.append(facts)

    def stopping(self) -> bool:
        self._left -= 1
        return self._left <= 0


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution with batch normalisation, in the inference format."""
    paddle.seed(0)
    network = paddle.nn.Sequential(
        paddle.nn.Conv2D(3, FEATURES, 3, padding=1),
        paddle.nn.BatchNorm2D(FEATURES),
        paddle.nn.ReLU(),
        paddle.nn.AdaptiveAvgPool2D(1),
        paddle.nn.Flatten(),
    )
    network.eval()
    path = tmp_path_factory.mktemp("backbone") / "backbone"
    images = paddle.static.InputSpec([None, 3, *SIZE], "float32", name="x")
    paddle.jit.save(network, str(path), input_spec=[images])
    return path


@pytest.fixture
def crops() -> Iterator[CropFile]:
    """Images of three colours, with noise."""
    file = CropFile(None, IMAGES, SIZE)
    random = np.random.default_rng(3)
    file.crops[:] = random.integers(0, 160, file.crops.shape, np.uint8)
    for row in range(IMAGES):
        file.crops[row, ..., row % CLASSES] += 60
    yield file
    file.close()


MakeRows = Callable[[Path], Rows]


@pytest.fixture
def make_rows(crops: CropFile, backbone: Path) -> MakeRows:
    def make(directory: Path) -> Rows:
        directory.mkdir(exist_ok=True)
        ids = {str(name): number for name, number in SPLIT_IDS.items()}
        splits = np.array([ids[each] for each in SPLITS], np.int8)
        np.savez(directory / "rows.npz", targets=np.arange(IMAGES) % CLASSES, splits=splits)
        rows = Rows(directory, FEATURES, crops.descriptor, IMAGES, SIZE, Normalize())
        network = Network(backbone, FEATURES, CLASSES)
        rows.features[:] = network.features(rows.tensors(np.arange(IMAGES))).numpy()
        return rows

    return make


def fit(phase: Phase, rows: Rows, backbone: Path, directory: Path, owner: Owner) -> State:
    """What a trainer does in one process, from the state that the last one saved."""
    state = State.load(directory)
    subject: Subject
    if phase.name == "head":
        subject = Head(rows, CLASSES, seed=1)
    else:
        network = Network(backbone, FEATURES, CLASSES)
        if not state.best_weights:
            state.best_weights = Head(rows, CLASSES, seed=1).arrays()
        network.restore(state.best_weights)
        subject = WholeNetwork(rows, network)
    Fitting(
        phase, subject, rows, state, directory=directory, probe=PROBE, seed=1, owner=owner
    ).run()
    return state


def same(first: State, second: State) -> bool:
    assert first.best_weights.keys() == second.best_weights.keys()
    weights = zip(first.best_weights.values(), second.best_weights.values(), strict=True)
    return all(np.array_equal(*each) for each in weights) and first.history == second.history


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_however_often_it_stops_the_weights_are_the_same(
    phase: Phase, make_rows: MakeRows, backbone: Path, tmp_path: Path
) -> None:
    whole = fit(phase, make_rows(tmp_path / "whole"), backbone, tmp_path / "whole", Interrupting())
    rows, stops = make_rows(tmp_path / "parts"), 0
    parts: State | None = None
    while parts is None:
        # Five steps each time, of three an epoch: within epochs, and at their ends.
        try:
            parts = fit(phase, rows, backbone, tmp_path / "parts", Interrupting(5))
        except StoppedError:
            stops += 1
    assert stops == 2
    assert same(parts, whole)
    losses = [each["loss"] for each in whole.history]
    assert len(losses) == phase.epochs
    assert losses[-1] < losses[0]


def test_the_backbone_learns_too_but_not_its_statistics(
    make_rows: MakeRows, backbone: Path, tmp_path: Path
) -> None:
    rows = make_rows(tmp_path / "network")
    state = fit(PHASES[1], rows, backbone, tmp_path / "network", Interrupting())
    before = Network(backbone, FEATURES, CLASSES).arrays()
    after = state.best_weights
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    # Weight and bias of the convolution, scale and offset of the normalisation; and the head.
    assert changed == {*(f"backbone.{place}" for place in range(4)), "head.weight", "head.bias"}


def test_what_is_written_answers_as_what_was_trained(
    make_rows: MakeRows, backbone: Path, tmp_path: Path
) -> None:
    rows = make_rows(tmp_path / "network")
    state = fit(PHASES[1], rows, backbone, tmp_path / "network", Interrupting())
    model = tmp_path / "model"
    model.mkdir()
    network = Network(backbone, FEATURES, CLASSES)
    network.restore(state.best_weights)
    network.save(model / "inference", SIZE)
    operations = [{"ResizeImage": {"size": list(SIZE)}}, {"NormalizeImage": None}, CHW]
    labels = [f"class {number}" for number in range(CLASSES)]
    description = {
        "PreProcess": {"transform_ops": operations},
        "PostProcess": {"Topk": {"topk": CLASSES, "label_list": labels}},
    }
    (model / "inference.yml").write_text(yaml.safe_dump(description), "utf-8")
    np.save(tmp_path / "network" / "probe.npy", rows.crops(PROBE))
    state.save(tmp_path / "network")
    request = {"do": "check", "to": str(model), "directory": str(tmp_path / "network")}
    checked = answer({**request, "device": "cpu", "threads": 1}, Interrupting())
    plain = checked["plain"]
    assert isinstance(plain, float)
    assert plain <= TOLERANCE
    # What answers otherwise is no model of this training.
    state.best_weights["scores"] = state.best_weights["scores"] + 2 * TOLERANCE
    state.save(tmp_path / "network")
    with pytest.raises(TrainingError, match="answers otherwise than the one that was trained"):
        answer({**request, "device": "cpu", "threads": 1}, Interrupting())


def test_a_rate_that_is_too_high_is_named(
    make_rows: MakeRows, backbone: Path, tmp_path: Path
) -> None:
    phase = replace(PHASES[1], learning_rate=1e30, clip=1e30, warm_up=0)
    with pytest.raises(TrainingError, match="smaller --learning-rate"):
        fit(phase, make_rows(tmp_path / "wild"), backbone, tmp_path / "wild", Interrupting())
