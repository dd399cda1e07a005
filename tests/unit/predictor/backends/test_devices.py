"""What each device gets of Paddle, and which devices are refused; no accelerator is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import ModelError
from worker.predictor.backends.devices import (
    PaddleBuild,
    check_device,
    configure_device,
    default_device,
    import_paddle,
    is_cpu_build,
    probe_build,
)

CPU_BUILD = PaddleBuild({})
TWO_GPUS = PaddleBuild({"gpu": 2})


class Recorder:
    """Takes every call that Paddle's own `Config` takes, and keeps it."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._config = import_paddle("cpu").inference.Config

    def __getattr__(self, name: str) -> object:
        assert hasattr(self._config, name), f"Paddle's Config has no {name}"

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
    configure_device(recorder, device, threads=3)
    assert recorder.calls == calls


def test_cpu_configuration_is_in_force_in_paddle() -> None:
    config = import_paddle("cpu").inference.Config()
    configure_device(config, "cpu", threads=3)
    assert config.mkldnn_enabled()
    assert not config.use_gpu()
    assert config.cpu_math_library_num_threads() == 3


def test_without_onednn_paddles_own_kernels_compute() -> None:
    config = import_paddle("cpu").inference.Config()
    configure_device(config, "cpu", threads=3, onednn=False)
    assert not config.mkldnn_enabled()
    assert config.cpu_math_library_num_threads() == 3


def test_the_installed_build_has_the_cpu_alone() -> None:
    build = probe_build(import_paddle("cpu"))
    assert build == CPU_BUILD
    assert default_device(build) == "cpu"
    check_device("cpu", build)


@pytest.mark.parametrize(
    ("device", "build", "message"),
    [
        ("gpu:0", CPU_BUILD, "gpu:0: the installed paddlepaddle has no CUDA: install paddlepadd"),
        ("xpu:0", CPU_BUILD, "xpu:0: the installed paddlepaddle has no XPU support: install"),
        ("npu:0", CPU_BUILD, "npu:0: Paddle's plug-in for NPUs is missing: install paddle-custom"),
        ("mlu:0", CPU_BUILD, "mlu:0: Paddle's plug-in for MLUs is missing: install paddle-custom"),
        ("gpu:0", PaddleBuild({"gpu": 0}), "gpu:0: Paddle finds no GPU: check the driver"),
        ("gpu:2", TWO_GPUS, "gpu:2: there is no such device; use gpu:0 to gpu:1"),
        ("npu:1", PaddleBuild({"npu": 1}), "npu:1: there is no such device; use npu:0"),
    ],
)
def test_a_device_that_is_not_here_is_refused(
    device: str, build: PaddleBuild, message: str
) -> None:
    with pytest.raises(ModelError) as refused:
        check_device(device, build)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("device", ["cpu", "gpu", "gpu:0", "gpu:1"])
def test_a_device_that_is_here_is_accepted(device: str) -> None:
    check_device(device, TWO_GPUS)


def test_the_first_gpu_is_the_default() -> None:
    assert default_device(TWO_GPUS) == "gpu:0"
    assert default_device(PaddleBuild({"gpu": 0})) == "cpu"
    assert default_device(PaddleBuild({"npu": 1})) == "cpu"


def test_what_a_plug_in_reads_is_set_before_paddle_loads_and_the_operator_has_the_last_word() -> (
    None
):
    program = (
        "import os; from worker.predictor.backends.devices import import_paddle; "
        "import_paddle('npu:0'); "
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


def test_what_a_build_is_for_is_told_without_loading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_cpu_build() is (probe_build(import_paddle("cpu")) == CPU_BUILD)
    versions = tmp_path / "paddle" / "version" / "__init__.py"
    versions.parent.mkdir(parents=True)
    (tmp_path / "paddle" / "__init__.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "paddle")
    assert not is_cpu_build(), "in doubt"
    for text, cpu in [
        ("cuda_version = 'False'\nhip_version = None", True),
        ("cuda_version = '12.6'", False),
        ("cuda_version = 'False'\nhip_version = '6.1'", False),
        ("cuda_version = 'False'\nxpu_xre_version = '5'", False),
        ("something = 'else'", False),
        ("raise ValueError", False),
    ]:
        versions.write_text(text)
        assert is_cpu_build() is cpu, text


def test_paddle_says_nothing_about_the_number_of_threads() -> None:
    program = (
        "import os; from worker.predictor.backends.devices import import_paddle; "
        "import_paddle('cpu'); print(os.environ['OMP_NUM_THREADS'])"
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
