"""Devices as text and as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.device import CPU, DEVICE_FORMS, Device


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("cpu", CPU),
        ("CPU", CPU),
        ("gpu", Device("gpu")),
        ("GPU:3", Device("gpu", (3,))),
        ("gpu:0,2", Device("gpu", (0, 2))),
        ("npu:1", Device("npu", (1,))),
        ("xpu:0", Device("xpu", (0,))),
        ("mlu:0,1", Device("mlu", (0, 1))),
    ],
)
def test_text_is_read_in_either_case_and_given_back(text: str, device: Device) -> None:
    assert Device.parse(text) == device
    assert str(device) == text.lower()


@given(st.sampled_from(["gpu", "npu", "xpu", "mlu"]), st.lists(st.integers(0, 999_999)))
def test_what_is_written_is_read(kind: str, indices: list[int]) -> None:
    text = f"{kind}:{','.join(map(str, indices))}" if indices else kind
    assert str(Device.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "cpu:0", "gpu:", "gpu:a", "gpu:0,", "gpu:-1", "tpu:0", "gpu:0 ", "gpu\n", "gpu:\u0663"],
)
def test_a_malformed_device_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="not a device; use cpu, gpu:0") as refused:
        Device.parse(text)
    assert DEVICE_FORMS in str(refused.value)


def test_several_devices_are_split_into_single_ones() -> None:
    assert Device.parse("gpu:2,0").split() == (Device("gpu", (2,)), Device("gpu", (0,)))
    assert Device("npu").split() == (Device("npu", (0,)),)
    assert CPU.split() == (CPU,)


def test_the_index_is_the_first_ones() -> None:
    assert [device.index for device in (CPU, Device("gpu"), Device("gpu", (3, 1)))] == [0, 0, 3]
