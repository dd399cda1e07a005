from __future__ import annotations

import importlib.util

import pytest

from worker.edge.formats import FormatName, check_packages
from worker.errors import UnfitSystemError


def lacking(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    def find(name: str) -> object:
        return None if name in missing else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)


PNNX = "pip install --no-deps pnnx"
EXTRA = "pip install '.[edge]' in a checkout of this project"


@pytest.mark.parametrize(
    ("name", "int8", "missing", "expected"),
    [
        (
            "openvino",
            False,
            ["openvino"],
            f"--format openvino needs openvino, not installed: {EXTRA}",
        ),
        (
            "ncnn",
            False,
            ["ncnn", "pnnx"],
            f"--format ncnn needs pnnx, ncnn, not installed: {EXTRA}, then {PNNX}",
        ),
        ("ncnn", False, ["pnnx"], f"--format ncnn needs pnnx, not installed: {PNNX}"),
        (
            "onnx",
            True,
            ["ml_dtypes"],
            f"--format onnx --int8 needs ml_dtypes, not installed: {EXTRA}",
        ),
    ],
)
def test_what_is_missing_is_named_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
    name: FormatName,
    int8: bool,
    missing: list[str],
    expected: str,
) -> None:
    lacking(monkeypatch, *missing)
    with pytest.raises(UnfitSystemError) as refusal:
        check_packages(name, int8=int8, python=(3, 11))
    assert str(refusal.value) == expected


@pytest.mark.parametrize("name", ["onnx", "openvino", "ncnn"])
def test_where_python_lacks_a_converter_another_version_is_named(
    monkeypatch: pytest.MonkeyPatch, name: FormatName
) -> None:
    lacking(monkeypatch, "paddle2onnx")
    with pytest.raises(UnfitSystemError, match=r"for Python 3\.13: export with Python 3\.11 or 3"):
        check_packages(name, int8=False, python=(3, 13))


def test_what_one_format_needs_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "openvino", "pnnx", "ncnn", "ml_dtypes")
    check_packages("onnx", int8=False)
