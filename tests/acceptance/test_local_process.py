"""A local pipeline and its surroundings: devices, what importing loads, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from demo.images import photographs
from worker import create_pipeline
from worker.device import CPU
from worker.errors import ModelError, SettingsError
from worker.inference.placement import Placement
from worker.model import load_model_spec
from worker.predict.runners import SlotRunner, ThisProcess
from worker.predictor.loading import load_predictor


def test_several_devices_share_each_batch(model_dir: Path) -> None:
    spec = load_model_spec(model_dir)
    crops = list(np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8))
    two = SlotRunner(spec, [Placement(CPU, 1)] * 2)
    try:
        assert two.width == 2
        here = ThisProcess(load_predictor(spec, CPU, 1))
        for count in (5, 1):
            np.testing.assert_allclose(
                two.scores(crops[:count]), here.scores(crops[:count]), atol=2e-4
            )
        two._slots[1].kill()  # as a crash would
        assert len(two.scores(crops)) == 5
    finally:
        two.close()


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("gpu:0", ModelError, "gpu:0: the installed paddlepaddle has no CUDA"),
        ("gpu:0,1", ModelError, "gpu:0: the installed paddlepaddle has no CUDA"),
        ("npu:0", ModelError, "npu:0: Paddle's plug-in for NPUs is missing"),
        ("cpu:0", SettingsError, "device 'cpu:0' is not known"),
        ("tpu", SettingsError, "device 'tpu' is not known: use cpu, gpu:0"),
    ],
)
def test_a_device_is_refused_before_the_model_is_looked_at(
    device: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        create_pipeline(model="no-such-model", device=device)


def test_a_model_that_is_nowhere_is_named() -> None:
    with pytest.raises(ModelError, match="'no-such-model'"):
        create_pipeline(model="no-such-model", device="cpu")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, worker; "
        "print(sorted({'numpy', 'cv2', 'paddle', 'aiohttp', 'pydantic'} & sys.modules.keys())); "
        "print(callable(worker.create_pipeline), hasattr(worker, 'nothing'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["[]", "True False"]


@pytest.mark.parametrize("handled", [True, False])
def test_loading_paddle_leaves_sigterm_alone(handled: bool) -> None:
    program = (
        "import os, signal; "
        "from worker.device import CPU; "
        "from worker.predictor.backends.devices import import_paddle; "
        + ("signal.signal(signal.SIGTERM, lambda *_: print('heard')); " if handled else "")
        + "import_paddle(CPU); "
        "os.kill(os.getpid(), signal.SIGTERM); "
        "print('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == (["heard", "alive"] if handled else [])
    assert done.returncode == (0 if handled else -signal.SIGTERM)
    assert not done.stderr


def test_an_interpreter_ends_without_close(model_dir: Path) -> None:
    photo = photographs()[0]
    program = (
        "import sys; from worker import create_pipeline; "
        "made = create_pipeline(model=sys.argv[1], device='cpu'); "
        "print(next(made.predict([sys.argv[2]] * 20))['class_ids'][0])"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            program,
            str(model_dir),
            str(photo.path),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{photo.class_id}\n"
    assert not done.stderr
