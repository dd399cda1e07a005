"""What the installed packages say of themselves, without being loaded."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from worker.hpip import has_gpu_provider


@pytest.mark.parametrize(
    "library", ["libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll"]
)
def test_a_gpu_build_of_onnx_runtime_has_the_providers_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    (tmp_path / "capi").mkdir()
    spec = ModuleSpec("onnxruntime", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    (tmp_path / "capi" / "libonnxruntime_providers_shared.so").touch()
    assert not has_gpu_provider("cuda")
    (tmp_path / "capi" / library).touch()
    assert has_gpu_provider("cuda")
    assert not has_gpu_provider("tensorrt")


def test_without_onnx_runtime_there_is_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not has_gpu_provider("cuda")
