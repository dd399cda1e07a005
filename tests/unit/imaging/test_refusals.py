"""What the sender of an image is told whose process ended."""

from __future__ import annotations

import re

import pytest

from worker.errors import Reason, Stage
from worker.imaging.call import DiedError
from worker.imaging.refusals import refusal
from worker.settings import DecodeSettings

LIMITS = DecodeSettings(cpu_seconds=7, memory=600 << 20, timeout=2.5)


@pytest.mark.parametrize(
    ("died", "why"),
    [
        (DiedError("cpu"), r"more than 7 s of processor time.*decode\.cpu_seconds"),
        (DiedError("memory"), r"more than 600 MiB of memory.*decode\.memory"),
        (DiedError("timeout"), r"did not end within 2\.5 s"),
        (DiedError("parent", "it ends all"), r"^it ends all, also when nothing else is decoded"),
        (DiedError("crash", "SIGSEGV"), r"crashes the encoder, also when it is alone \(SIGSEGV\)"),
        (DiedError("killed", "SIGKILL"), r"\(SIGKILL\).*; a kernel that is short of memory"),
    ],
)
def test_an_image_is_refused_for_what_ended_its_process(died: DiedError, why: str) -> None:
    error = refusal(Stage.DRAW, died, 2, LIMITS)
    assert re.search(why, str(error)), str(error)
    failure = (error.reason, error.stage, error.attempts)
    assert failure == (Reason.CORRUPT_IMAGE, Stage.DRAW, 2)


def test_a_crash_of_a_decoder_is_no_encoders() -> None:
    assert "crashes the decoder" in str(refusal(Stage.DECODE, DiedError("crash"), 2, LIMITS))
