"""What a processor can do, by what the system tells."""

from __future__ import annotations

import pytest

from worker.runtime.processor import has_bfloat16


@pytest.mark.parametrize(
    ("features", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sha_ni", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("", False),
    ],
)
def test_bfloat16_is_a_feature_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, *, features: str, has: bool
) -> None:
    monkeypatch.setattr("worker.runtime.processor.processor", lambda: f"model name: X\n{features}")
    assert has_bfloat16() is has
