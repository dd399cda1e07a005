"""Any values under any known keys: the model is loaded, or refused with a sentence and a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.model_files import write
from worker.errors import ModelError
from worker.model import load_model_spec
from worker.model.post_processing import _RULES
from worker.model.pre_processing import _OPERATORS

WORDS = """
1 0 -1 3 +1 256 0.5 007 0x10 1_0 1e-3 1e400 1/255 1/0 .nan .inf yes no null '' 'a' a = <<
2024-01-01 2024-99-99 12:30 1:1:1 cv2 pil lanczos4 box RGB BGR chw hwc default "\\0" {} [] [[1]]
labels.txt ../x /etc/passwd
"""
PHRASES = (
    *(
        "!!int a",
        "!!float x",
        "!!bool q",
        "!!null z",
        "!!int ''",
        "!!str 1",
        "[1, 2, 3]",
        "[1, 1, 0]",
        "[a, b]",
    ),
    *("{default: 0.5, 1: 0.1}", "[0.1, 1]", "9" * 5000),
)
VALUES = st.sampled_from([*WORDS.split(), *PHRASES])


def section(known: dict[str, tuple[str, ...]]) -> st.SearchStrategy[list[tuple[str, list[str]]]]:
    """Some operators, each with some of its keys and any values."""
    entry = st.sampled_from(sorted(known)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(
                st.tuples(st.sampled_from(known[name] or ("x",)), VALUES).map(": ".join),
                max_size=3,
                unique_by=lambda line: line.split(":")[0],
            ),
        )
    )
    return st.lists(entry, max_size=4, unique_by=lambda each: each[0])


def spelled(pre: list[tuple[str, list[str]]], post: list[tuple[str, list[str]]]) -> str:
    lines = ["PreProcess:", "  transform_ops:", "  - CropImage: {size: 8}"]
    lines += [f"  - {name}: {{{', '.join(options)}}}" for name, options in pre]
    lines += ["  - ToCHWImage:", "PostProcess:"]
    lines += [f"  {name}: {{{', '.join(options)}}}" for name, options in post]
    return "\n".join(lines)


@given(
    pre=section({name: tuple(keys) for name, keys in _OPERATORS.items() if name[0] == "N"}),
    post=section({name: tuple(keys) for name, keys in _RULES.items()}),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_crop_with_anything_is_loaded_or_refused(
    tmp_path: Path, pre: list[Any], post: list[Any]
) -> None:
    _loaded_or_refused(tmp_path, spelled(pre, post))


@given(pre=section({name: tuple(keys) for name, keys in _OPERATORS.items()}))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_operators_with_anything_are_loaded_or_refused(tmp_path: Path, pre: list[Any]) -> None:
    text = spelled(pre, []).replace("  - CropImage: {size: 8}\n", "")
    _loaded_or_refused(tmp_path, text)


def _loaded_or_refused(tmp_path: Path, text: str) -> None:
    try:
        spec = load_model_spec(write(tmp_path / "model", text))
    except ModelError as error:
        message = str(error)
        assert re.match(rf"{re.escape(str(tmp_path))}/model/inference\.yml:\d+: \S", message)
        assert len(message) < 500
    else:
        assert spec.top_k >= 1
        for label in spec.labels:
            label.encode()


@pytest.mark.parametrize("text", ["PreProcess: *a", "PreProcess: {transform_ops: [*a]}"])
def test_an_alias_of_nothing_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError, match="nothing is named &a before"):
        load_model_spec(write(tmp_path / "model", text))
