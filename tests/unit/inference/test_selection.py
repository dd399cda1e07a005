"""Which backend is selected: the fastest of all slots together, and what is remembered of it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from worker.device import CPU, Device
from worker.errors import ModelError, PredictorCrashedError, SettingsError, UnfitSystemError
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.selection import Trial, check_choice, fastest, try_backends
from worker.inference.selection_cache import SelectionCache

ALL: tuple[BackendName, ...] = ("paddle", "openvino", "onnxruntime")
Pixels = npt.NDArray[np.uint8]


class Machine:
    """Slots whose backends compute as fast as the test says, or fail as it says.

    Attributes:
        rates: images per second of one slot, by backend.
        fails: what loading a backend raises.
        fails_running: what running one raises.
    """

    def __init__(self, slots: int, **rates: float) -> None:
        self.rates = rates
        self.fails: dict[str, Exception] = {}
        self.fails_running: dict[str, Exception] = {}
        self.slots = [StandIn(self) for _ in range(slots)]


class StandIn:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.backend = ""
        self.loads: list[BackendName] = []
        self.batches: list[int] = []

    async def load(self, backend: BackendName) -> None:
        self.loads.append(backend)
        if error := self.machine.fails.get(backend):
            raise error
        self.backend = backend

    async def measure(self, pixels: Sequence[Pixels], seconds: float) -> float:
        # All slots have the same backend, or what is measured is nothing that will ever run.
        assert {slot.backend for slot in self.machine.slots} == {self.backend}
        self.batches.append(len(pixels))
        if error := self.machine.fails_running.get(self.backend):
            raise error
        return self.machine.rates[self.backend]


async def tried(machine: Machine, max_batch: int = 0) -> list[Trial]:
    return await try_backends(machine.slots, ALL, (2, 3), max_batch)


async def test_the_slots_rates_are_added_up_and_the_fastest_is_selected() -> None:
    machine = Machine(2, paddle=118, openvino=68, onnxruntime=153)
    trials = await tried(machine)
    assert trials == [
        Trial("paddle", 236),
        Trial("openvino", 136),
        Trial("onnxruntime", 306),
    ]
    assert fastest(trials) == "onnxruntime"
    assert all(slot.loads == list(ALL) for slot in machine.slots)


@pytest.mark.parametrize(
    "error", [ModelError("answers otherwise"), PredictorCrashedError("died (signal 11)")]
)
@pytest.mark.parametrize("running", [False, True])
async def test_one_that_cannot_be_used_is_dropped(error: Exception, running: bool) -> None:
    machine = Machine(2, paddle=118, openvino=900, onnxruntime=90)
    (machine.fails_running if running else machine.fails)["openvino"] = error
    trials = await tried(machine)
    assert trials[1] == Trial("openvino", 0, str(error))
    assert fastest(trials) == "paddle"
    # One that cannot be loaded is tried in the first slot alone.
    assert ("openvino" in machine.slots[1].loads) is running


async def test_a_model_that_paddle_cannot_load_is_an_error_at_once() -> None:
    machine = Machine(1, onnxruntime=90)
    machine.fails["paddle"] = ModelError("inference.json is damaged")
    with pytest.raises(ModelError, match="is damaged"):
        await tried(machine)
    assert machine.slots[0].loads == ["paddle"]


async def test_where_paddle_crashes_another_may_do() -> None:
    machine = Machine(1, openvino=80, onnxruntime=90)
    machine.fails["paddle"] = PredictorCrashedError("died (signal 11)")
    assert fastest(await tried(machine)) == "onnxruntime"


async def test_without_any_that_can_be_used_the_first_ones_error_is_raised() -> None:
    machine = Machine(1)
    machine.fails = {name: PredictorCrashedError(f"{name} died") for name in ALL}
    with pytest.raises(PredictorCrashedError, match="paddle died"):
        await tried(machine)


@pytest.mark.parametrize(
    ("rate", "max_batch", "largest"),
    [(100.0, 0, 8), (100.0, 32, 32), (100.0, 1, 1), (2.0, 0, 1), (2.0, 32, 1)],
)
async def test_batches_are_as_large_as_they_will_be_unless_the_model_is_slow(
    rate: float, max_batch: int, largest: int
) -> None:
    machine = Machine(1, paddle=rate, openvino=rate, onnxruntime=rate)
    await tried(machine, max_batch)
    assert max(machine.slots[0].batches) == largest


@pytest.mark.parametrize("choice", ["auto", "paddle"])
def test_paddle_goes_with_every_device(choice: BackendName) -> None:
    for device in (CPU, Device("gpu", (0, 1)), Device("npu")):
        check_choice(choice, device)


@pytest.mark.parametrize("choice", ["onnxruntime", "openvino"])
def test_the_others_compute_on_the_cpu_alone(choice: BackendName) -> None:
    with pytest.raises(SettingsError) as refused:
        check_choice(choice, Device("gpu", (0,)))
    assert str(refused.value) == (
        f"predictor.backend: {choice} computes on the CPU alone, and device is gpu:0: "
        "set predictor.backend to auto or paddle, or device to cpu"
    )


def test_one_that_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("sys.version_info", (3, 12, 1))
    with pytest.raises(UnfitSystemError) as refused:
        check_choice("openvino", CPU)
    assert str(refused.value) == (
        "predictor.backend: openvino needs openvino and paddle2onnx, not installed here; "
        "pip install '.[hpip]' in a checkout of this project installs it; "
        "or set predictor.backend to auto or paddle"
    )


TRIALS = [Trial("paddle", 236.0), Trial("openvino", 0.0, "it crashed")]


def cache(
    directory: Path, digest: str = "sha256:1", slots: int = 2, cores: int = 2, max_batch: int = 0
) -> SelectionCache:
    placements = [Placement(CPU, 1)] * slots
    return SelectionCache(directory, digest, placements, cores, max_batch, ("paddle", "openvino"))


def test_trials_are_kept_for_their_model_and_layout_alone(tmp_path: Path) -> None:
    cache(tmp_path / "new").write(TRIALS)
    assert cache(tmp_path / "new").read() == TRIALS
    for other in (
        cache(tmp_path / "new", digest="sha256:2"),
        cache(tmp_path / "new", slots=1),
        cache(tmp_path / "new", cores=4),
        cache(tmp_path / "new", max_batch=16),
    ):
        assert other.read() is None


def test_trials_are_made_again_for_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "worker.inference.selection_cache"
    monkeypatch.setattr(f"{module}.package_version", lambda _: "1")
    cache(tmp_path).write(TRIALS)
    assert cache(tmp_path).read() == TRIALS
    monkeypatch.setattr(f"{module}.package_version", lambda _: "2")
    assert cache(tmp_path).read() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'[{"backend": "paddle"}]',
        json.dumps([{"backend": "paddle", "images_per_second": 1, "problem": ""}]).encode(),
        json.dumps(
            [{"backend": b, "images_per_second": 1, "problem": ""} for b in ("paddle", "wrong")]
        ).encode(),
        json.dumps(
            [{"backend": b, "images_per_second": 0, "problem": ""} for b in ("paddle", "openvino")]
        ).encode(),
    ],
)
def test_what_is_of_no_use_is_not_read(tmp_path: Path, content: bytes) -> None:
    cache(tmp_path).write(TRIALS)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(content)
    assert cache(tmp_path).read() is None


def test_without_a_directory_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache(tmp_path / "file").write(TRIALS)
    assert cache(tmp_path / "file").read() is None
