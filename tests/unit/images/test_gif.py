"""GIF as browsers take it: frames beyond their screen, files without their last byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.support.make import encode, noise, pillow_bgr
from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.images.gif import first_frame, read_gif_size
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
PICTURE = Image.fromarray(noise(60, 40))
STILL = encode(PICTURE.quantize(32), "GIF")
ANIMATED = encode(
    PICTURE, "GIF", save_all=True, append_images=[Image.fromarray(noise(60, 40, seed=1))]
)


def colours_end(data: bytes) -> int:
    return 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)


def with_screen(data: bytes, width: int, height: int) -> bytes:
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def with_offset(data: bytes, left: int, top: int) -> bytes:
    at = data.index(b"\x2c", colours_end(data)) + 1
    return data[:at] + struct.pack("<HH", left, top) + data[at + 4 :]


def with_own_colours(data: bytes) -> bytes:
    """The colours of the file made those of its frame."""
    end = colours_end(data)
    at = data.index(b"\x2c", end) + 9
    head = data[:10] + b"\0" + data[11:13]
    return head + data[end:at] + bytes([0x80 | data[10] & 7]) + data[13:end] + data[at + 1 :]


WHOLE = {
    "without its last byte": STILL[:-1],
    "animated, without its last byte": ANIMATED[:-1],
    "a screen of nothing": with_screen(STILL, 0, 0),
    "a frame larger than the screen": with_screen(STILL, 30, 20),
    "a frame wider than the screen": with_screen(STILL, 59, 40),
    "a frame half beyond the screen": with_offset(STILL, 31, 17),
    "a frame quite beyond the screen": with_offset(STILL, 200, 100),
    "a frame smaller than the screen": with_screen(with_offset(STILL, 7, 5), 90, 70),
    "colours of its own": with_own_colours(STILL),
    "colours of its own, beyond the screen": with_screen(with_own_colours(STILL), 30, 20),
    "zeros before its last byte": STILL[:-1] + bytes(20) + STILL[-1:],
    "something else for its last byte": STILL[:-1] + b"junk",
    "the older version": b"GIF87a" + STILL[6:],
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_others_take_is_taken_for_the_same_pixels(name: str) -> None:
    data = WHOLE[name]
    assert np.array_equal(decode(data, LIMITS), pillow_bgr(data))


def test_the_size_is_what_the_frame_needs_before_anything_is_decoded() -> None:
    assert read_gif_size(with_offset(STILL, 1000, 2000)) == (1060, 2040)
    with pytest.raises(JobError) as caught:
        decode(with_offset(STILL, 29_941, 0), LIMITS)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
    assert "30001x40" in caught.value.message


def test_no_screen_is_larger_than_a_file_can_say() -> None:
    most = DecodeSettings(max_side=200_000)
    with pytest.raises(JobError, match="reaches to 65595x40") as caught:
        decode(with_offset(STILL, 65_535, 0), most)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("missing", [2, 10, len(ANIMATED) // 4])
def test_an_animation_that_is_cut_off_within_a_frame_is_refused(missing: int) -> None:
    with pytest.raises(JobError, match="it ends within a block") as caught:
        decode(ANIMATED[:-missing], LIMITS)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_one_frame_alone_is_handed_on() -> None:
    alone = first_frame(ANIMATED)
    assert len(alone) < 0.7 * len(ANIMATED)
    assert np.array_equal(pillow_bgr(alone), pillow_bgr(ANIMATED))


def test_a_bomb_of_blocks_is_refused() -> None:
    with pytest.raises(JobError, match="more than 1048576 blocks") as caught:
        decode(STILL[:-1] + b"\x21\xfe\0" * 2**20, LIMITS)
    assert caught.value.reason is Reason.CORRUPT_IMAGE
