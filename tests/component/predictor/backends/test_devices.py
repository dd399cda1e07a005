"""What each device gets of Paddle, and which devices are refused; no accelerator is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from worker.device import CPU, Device
from worker.kernels import Precision
from worker.predictor.backends.devices import (
    PaddleBuild,
    check_device,
    configure_device,
    default_device,
    import_paddle,
    probe_build,
)

CPU_BUILD = PaddleBuild({})


class Recorder:
    """Takes every call that Paddle's own `Config` takes, and keeps it."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._config = import_paddle(CPU).inference.Config

    def __getattr__(self, name: str) -> object:
        assert hasattr(self._config, name), f"Paddle's Config has no {name}"
        if name == "Precision":
            return self._config.Precision

        def record(*arguments: object) -> None:
            self.calls.append((name, *arguments))

        return record


@pytest.mark.parametrize(
    ("device", "calls"),
    [
        (
            "cpu",
            [
                ("disable_gpu",),
                ("enable_mkldnn",),
                ("set_mkldnn_cache_capacity", 2),
                ("set_cpu_math_library_num_threads", 3),
            ],
        ),
        ("gpu:0", [("enable_use_gpu", 512, 0)]),
        ("gpu:3", [("enable_use_gpu", 512, 3)]),
        ("npu:1", [("enable_custom_device", "npu", 1)]),
        ("mlu:2", [("enable_custom_device", "mlu", 2)]),
        (
            "xpu:1",
            [
                ("enable_xpu",),
                ("set_xpu_device_id", 1),
                ("delete_pass", "conv2d_bn_xpu_fuse_pass"),
                ("delete_pass", "transfer_layout_pass"),
            ],
        ),
    ],
)
def test_configuration_of_each_device(device: str, calls: list[tuple[object, ...]]) -> None:
    recorder = Recorder()
    configure_device(recorder, Device.parse(device), threads=3)
    assert recorder.calls == calls


@pytest.mark.parametrize(("precision", "named"), [("fp16", "Half"), ("bf16", "Bfloat16")])
def test_a_gpu_is_told_of_another_precision_than_its_own(precision: Precision, named: str) -> None:
    recorder = Recorder()
    configure_device(recorder, Device.parse("gpu:1"), threads=3, precision=precision)
    kind = getattr(import_paddle(CPU).inference.PrecisionType, named)
    assert recorder.calls == [("enable_use_gpu", 512, 1, kind)]


def test_onednn_is_told_of_bf16() -> None:
    recorder = Recorder()
    configure_device(recorder, CPU, threads=3, precision="bf16")
    assert ("enable_mkldnn_bfloat16",) in recorder.calls


def test_cpu_configuration_is_in_force_in_paddle() -> None:
    config = import_paddle(CPU).inference.Config()
    configure_device(config, CPU, threads=3)
    assert config.mkldnn_enabled()
    assert not config.use_gpu()
    assert config.cpu_math_library_num_threads() == 3


def test_without_onednn_paddles_own_kernels_compute() -> None:
    config = import_paddle(CPU).inference.Config()
    configure_device(config, CPU, threads=3, onednn=False)
    assert not config.mkldnn_enabled()
    assert config.cpu_math_library_num_threads() == 3


def test_the_installed_build_has_the_cpu_alone() -> None:
    build = probe_build(import_paddle(CPU))
    assert build == CPU_BUILD
    assert default_device(build) == CPU
    check_device(CPU, build)


def test_what_a_plug_in_reads_is_set_before_paddle_loads_and_the_operator_has_the_last_word() -> (
    None
):
    program = (
        "import os; from worker.device import Device; "
        "from worker.predictor.backends.devices import import_paddle; "
        "import_paddle(Device('npu')); "
        "print(os.environ['FLAGS_npu_jit_compile'], os.environ['FLAGS_npu_scale_aclnn'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"FLAGS_npu_jit_compile": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["1", "True"]


def test_paddle_says_nothing_about_the_number_of_threads() -> None:
    program = (
        "import os; from worker.device import CPU; "
        "from worker.predictor.backends.devices import import_paddle; "
        "import_paddle(CPU); print(os.environ['OMP_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")
