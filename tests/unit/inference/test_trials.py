"""Trials of backends: measured with all slots together, dropped where they cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from worker.clock import Clock
from worker.errors import ModelError, PredictorCrashedError, PredictorTimeoutError
from worker.inference.calibration import Window
from worker.inference.protocol import BackendName
from worker.inference.trials import Trial, fastest, try_backends

ALL: tuple[BackendName, ...] = ("paddle", "openvino", "onnxruntime")
Pixels = npt.NDArray[np.uint8]


class Machine:
    """Slots whose backends compute as fast as the test says, or fail as it says.

    Attributes:
        rates: images per second of one slot, by backend.
        fails: what loading a backend raises.
        fails_running: what running one raises.
        loading: seconds that loading one takes.
        taken: share of the cores that other programs have, by backend.
        waits: share of its time in which a backend's threads wait for each other, by backend.
        seconds: how fast the machine is, each time that a backend is loaded; it dies where there is
            none.
        preparing: seconds that the first run of each batch size takes besides.
    """

    def __init__(self, slots: int, **rates: float) -> None:
        self.rates = rates
        self.fails: dict[str, Exception] = {}
        self.fails_running: dict[str, Exception] = {}
        self.loading: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        self.waits: dict[str, float] = {}
        self.gains: dict[tuple[str, int], float] = {}
        self.seconds: dict[str, list[float]] = {}
        self.preparing = 0.0
        self.now = 0.0
        self.slots = [StandIn(self) for _ in range(slots)]


class Others:
    """What other programs take, seen from when it is asked first."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.began = False

    def begin(self) -> None:
        self.began = True

    def taken(self) -> float:
        assert self.began
        return self.machine.taken.get(self.machine.slots[0].backend, 0.0)


class StandIn:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.backend = ""
        self.loads: list[BackendName] = []
        self.batches: list[int] = []
        self.parts: list[int] = []
        self.speed = 1.0

    async def load(self, backend: BackendName, within: float | None = None) -> None:
        self.loads.append(backend)
        seconds = self.machine.loading.get(backend, 0.0)
        self.machine.now += seconds if within is None else min(seconds, within)
        if within is not None and seconds > within:
            raise PredictorTimeoutError(f"no answer within {within:g} s")
        if error := self.machine.fails.get(backend):
            raise error
        self.backend = backend
        self.prepared: set[int] = set()
        if seconds_left := self.machine.seconds.get(backend):
            self.speed = seconds_left.pop(0)
        elif backend in self.machine.seconds:
            raise PredictorCrashedError("died")
        else:
            self.speed = 1.0

    async def measure(self, pixels: Sequence[Pixels], seconds: float, part: int = 0) -> Window:
        # All slots have the same backend, or what is measured is nothing that will ever run.
        assert {slot.backend for slot in self.machine.slots} == {self.backend}
        self.batches.append(len(pixels))
        self.parts += [part] * (seconds > 0)
        self.machine.now += seconds
        if error := self.machine.fails_running.get(self.backend):
            raise error
        busy = (1 - self.machine.taken.get(self.backend, 0.0)) * (
            1 - self.machine.waits.get(self.backend, 0.0)
        )
        preparing = 0.0 if len(pixels) in self.prepared else self.machine.preparing
        self.prepared.add(len(pixels))
        rate = self.machine.rates[self.backend] * self.speed
        rate *= self.machine.gains.get((self.backend, part), 1.0)
        return Window(round(rate), 1.0 + preparing, busy + preparing)


async def tried(
    machine: Machine, max_batch: int = 0, limit: float = 100.0, *, on_gpu: bool = False
) -> list[Trial]:
    clock = Clock(lambda: machine.now)
    others = Others(machine)
    return await try_backends(
        machine.slots, ALL, (2, 3), max_batch, limit, others, clock, on_gpu=on_gpu
    )


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
    passing = isinstance(error, PredictorCrashedError)
    assert trials[1] == Trial("openvino", 0, str(error), passing)
    assert fastest(trials) == "paddle"
    # One that cannot be loaded is tried in the first slot alone.
    assert ("openvino" in machine.slots[1].loads) is running


async def test_a_model_that_paddle_cannot_load_is_an_error_at_once() -> None:
    machine = Machine(1, onnxruntime=90)
    machine.fails["paddle"] = ModelError("inference.json is damaged")
    with pytest.raises(ModelError, match="is damaged"):
        await tried(machine)
    assert machine.slots[0].loads == ["paddle"]


async def test_a_gpu_that_paddle_cannot_use_may_do_for_another() -> None:
    machine = Machine(2, openvino=80, onnxruntime=90)
    machine.fails["paddle"] = ModelError("gpu:0: Paddle finds no GPU")
    trials = await tried(machine, on_gpu=True)
    assert trials[0] == Trial("paddle", 0, "gpu:0: Paddle finds no GPU", passing=True)
    assert fastest(trials) == "onnxruntime"


async def test_a_model_that_nothing_can_load_onto_a_gpu_is_paddles_error() -> None:
    machine = Machine(1)
    machine.fails = {name: ModelError(f"{name}: it is damaged") for name in ALL}
    with pytest.raises(ModelError, match="paddle: it is damaged"):
        await tried(machine, on_gpu=True)
    assert machine.slots[0].loads == list(ALL)


async def test_a_gpu_that_prepares_kernels_is_not_taken_for_a_slow_one() -> None:
    machine = Machine(1, paddle=100, openvino=100, onnxruntime=100)
    machine.preparing = 30.0
    assert [trial.images_per_second for trial in await tried(machine, 32, on_gpu=True)] == [100] * 3
    assert max(machine.slots[0].batches) == 32


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


@pytest.mark.parametrize(
    ("max_batch", "on_gpu", "parts"),
    [
        (0, False, {2, 8}),
        (32, False, {2, 8}),
        (4, False, {2, 4}),
        (1, False, {1}),
        (32, True, {32}),
    ],
)
async def test_on_processors_a_batch_is_measured_in_small_parts_and_in_large_ones(
    max_batch: int, on_gpu: bool, parts: set[int]
) -> None:
    machine = Machine(1, paddle=100, openvino=100, onnxruntime=100)
    await tried(machine, max_batch, on_gpu=on_gpu)
    assert set(machine.slots[0].parts) == parts


async def test_the_faster_parts_count() -> None:
    machine = Machine(1, paddle=100, openvino=90, onnxruntime=80)
    machine.gains = {("openvino", 2): 1.5, ("onnxruntime", 8): 2.0}
    trials = await tried(machine)
    assert [trial.images_per_second for trial in trials] == [100, 135, 160]


async def test_what_others_took_is_told_of_each_backend() -> None:
    machine = Machine(2, paddle=118, openvino=68, onnxruntime=153)
    machine.taken = {"openvino": 0.4}
    assert [trial.taken for trial in await tried(machine)] == [0.0, 0.4, 0.0]


async def test_a_backend_is_not_judged_by_what_others_took_of_its_cores() -> None:
    machine = Machine(2, paddle=100, openvino=60, onnxruntime=60)
    machine.taken = {"openvino": 0.5}
    trials = await tried(machine)
    assert [trial.images_per_second for trial in trials] == [200, 240, 120]


async def test_threads_that_wait_for_each_other_are_no_faster_for_it() -> None:
    machine = Machine(2, paddle=100, openvino=60, onnxruntime=60)
    machine.waits = {"openvino": 0.5}
    trials = await tried(machine)
    assert [trial.images_per_second for trial in trials] == [200, 120, 120]


async def test_backends_besides_paddle_share_one_time_limit() -> None:
    machine = Machine(2, paddle=118, openvino=900, onnxruntime=90)
    # Paddle, which is needed in any case, may take its time.
    machine.loading = {"paddle": 500.0, "openvino": 300.0}
    trials = await tried(machine, limit=50.0)
    assert trials[0].images_per_second == 236
    assert trials[1] == Trial("openvino", 0, "no answer within 50 s", passing=True)
    problem = "not tried, since the time to measure backends, 50 s, was over"
    assert trials[2] == Trial("onnxruntime", 0, problem, passing=True)
    assert fastest(trials) == "paddle"


async def test_those_that_are_nearly_the_fastest_are_measured_in_turn() -> None:
    machine = Machine(2, paddle=50, openvino=98, onnxruntime=100)
    await tried(machine)
    assert all(
        slot.loads == [*ALL, "openvino", "onnxruntime", "openvino", "onnxruntime"]
        for slot in machine.slots
    )


async def test_one_that_is_far_ahead_is_measured_once() -> None:
    machine = Machine(1, paddle=50, openvino=70, onnxruntime=100)
    await tried(machine)
    assert machine.slots[0].loads == list(ALL)


@pytest.mark.parametrize("seconds", [(1.2, 1.0, 1.0), (1.0, 0.5, 1.0), (1.0, 1.0, 1.2)])
async def test_fast_or_slow_seconds_do_not_choose(seconds: tuple[float, ...]) -> None:
    machine = Machine(1, paddle=10, openvino=105, onnxruntime=100)
    machine.seconds = {"onnxruntime": list(seconds), "openvino": [1.0, 1.0, 0.5]}
    trials = await tried(machine)
    assert [trial.images_per_second for trial in trials] == [10, 105, 100]
    assert fastest(trials) == "openvino"


async def test_one_that_crashes_later_cannot_be_used() -> None:
    machine = Machine(1, paddle=90, openvino=95, onnxruntime=100)
    machine.seconds = {"onnxruntime": [1.0]}
    trials = await tried(machine)
    assert trials[2] == Trial("onnxruntime", 0, "died", passing=True)
    assert fastest(trials) == "openvino"


async def test_where_time_runs_out_one_measurement_counts() -> None:
    machine = Machine(1, paddle=100, openvino=100, onnxruntime=100)
    machine.loading = {"openvino": 9.5}
    trials = await tried(machine, limit=9.7)
    assert trials[1].images_per_second == 100
    assert trials[2].problem.startswith("not tried")
    assert machine.slots[0].loads == ["paddle", "openvino"]


async def test_another_round_is_begun_only_where_time_is_left_for_all_of_it() -> None:
    machine = Machine(1, paddle=10, openvino=100, onnxruntime=110)
    machine.loading = {"openvino": 4.0, "onnxruntime": 4.0}
    trials = await tried(machine, limit=25.0)
    assert [trial.images_per_second for trial in trials] == [10, 100, 110]
    assert machine.slots[0].loads == [*ALL, "openvino", "onnxruntime"]


async def test_where_all_crash_later_the_first_round_counts() -> None:
    machine = Machine(1, paddle=10, openvino=100, onnxruntime=110)
    machine.seconds = {"paddle": [1.0], "openvino": [1.0], "onnxruntime": [1.0]}
    machine.rates["paddle"] = 100
    trials = await tried(machine)
    assert [trial.images_per_second for trial in trials] == [100, 100, 110]
