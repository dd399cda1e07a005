"""What an image process says is checked: it may have been taken over."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from worker.errors import Reason, Stage
from worker.failpoints import Failpoints
from worker.imaging.protocol import (
    MAX_MESSAGE,
    MAX_TEXT,
    Accounted,
    Drawn,
    Frames,
    LimitReached,
    NonsenseError,
    Prepared,
    Raised,
    Refused,
    Reply,
    Setup,
    Shortage,
    Skipped,
    frame,
    parse_reply,
)
from worker.model import CenterCrop, Resize


def parse(**message: object) -> tuple[int, Reply]:
    return parse_reply({"call": 7, **message}, 1000, 10_000)


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"is": "accounted", "nbytes": 5}, Accounted(5)),
        ({"is": "prepared", "picture": None}, Prepared(None)),
        ({"is": "prepared", "picture": [3, 1000]}, Prepared((3, 1000))),
        ({"is": "drawn", "length": 10_000}, Drawn(10_000)),
        (
            {"is": "refused", "reason": "corrupt_image", "message": "cut off", "stage": None},
            Refused(Reason.CORRUPT_IMAGE, "cut off", None),
        ),
        (
            {"is": "refused", "reason": "bad_base64", "message": "", "stage": "draw"},
            Refused(Reason.BAD_BASE64, "", Stage.DRAW),
        ),
        ({"is": "shortage"}, Shortage()),
        ({"is": "limit"}, LimitReached()),
        ({"is": "skipped"}, Skipped()),
        ({"is": "raised", "error": "KeyError"}, Raised("KeyError")),
    ],
)
def test_every_reply_is_understood(message: dict[str, object], reply: Reply) -> None:
    assert parse(**message) == (7, reply)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"is": "else"},
        {"is": None},
        {"is": ["prepared"]},
        {"call": -1, "is": "skipped"},
        {"call": "7", "is": "skipped"},
        {"call": True, "is": "skipped"},
        {"call": 2**64, "is": "skipped"},
        {"is": "accounted"},
        {"is": "accounted", "nbytes": -1},
        {"is": "accounted", "nbytes": 1.5},
        {"is": "accounted", "nbytes": 2**60},
        {"is": "prepared", "picture": [0, 5]},
        {"is": "prepared", "picture": [-5, -5]},
        {"is": "prepared", "picture": [1001, 5]},
        {"is": "prepared", "picture": [5]},
        {"is": "prepared", "picture": "55"},
        {"is": "drawn", "length": 10_001},
        {"is": "drawn", "length": None},
        {"is": "refused", "reason": "new_reason", "message": "", "stage": None},
        {"is": "refused", "reason": "corrupt_image", "message": None, "stage": None},
        {"is": "refused", "reason": "corrupt_image", "message": "a" * (MAX_TEXT + 1)},
        {"is": "refused", "reason": "corrupt_image", "message": "", "stage": "elsewhere"},
        {"is": "refused", "reason": "corrupt_image", "message": "", "stage": ["draw"]},
        {"is": "raised", "error": 5},
    ],
)
def test_nonsense_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(NonsenseError):
        parse(**message)


def test_messages_come_out_however_they_are_cut() -> None:
    messages: list[dict[str, Any]] = [{"a": 1}, {}, {"b": "x" * 1000}]
    stream = b"".join(map(frame, messages))
    for size in (1, 3, 7, len(stream)):
        frames = Frames()
        seen: list[dict[str, Any]] = []
        for start in range(0, len(stream), size):
            seen += frames.feed(stream[start : start + size])
        assert seen == messages


@pytest.mark.parametrize(
    "stream",
    [
        (MAX_MESSAGE + 1).to_bytes(4, "little"),
        b"\x02\x00\x00\x00[]",
        b"\x03\x00\x00\x00abc",
        b"\x02\x00\x00\x00\xff\xfe",
    ],
)
def test_a_stream_of_nonsense_is_refused(stream: bytes) -> None:
    with pytest.raises(NonsenseError):
        list(Frames().feed(stream))


@pytest.mark.parametrize("resize", [None, Resize(256, None), Resize(None, (3, 4), "area", "pil")])
@pytest.mark.parametrize("crop", [None, CenterCrop(2, 1)])
def test_a_setup_crosses_as_json(resize: Resize | None, crop: CenterCrop | None) -> None:
    faults = Failpoints((((1, 2, 3), "decode.kill"),), 0.5)
    setup = Setup(resize, crop, "BGR", 1, 2, 3, 4, 5, faults)
    assert Setup.from_dict(orjson.loads(orjson.dumps(setup.to_dict()))) == setup
