"""Fax codes: libtiff, through Pillow, is the encoder; every error has to be found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.make import encode, noise
from tests.support.make_tiff import segments
from worker.images import tiff_fax
from worker.images.tiff_fax import FaxDecoder, FaxKind, TooManyRunsError
from worker.images.tiff_fax_codes import BLACK, RUN_BITS, WHITE

KINDS = {
    "group3": (FaxKind(line_ends=True), {}),
    "group3 filled": (FaxKind(line_ends=True), {292: 4}),
    "group3 in two dimensions": (FaxKind(line_ends=True, two_dimensional=True), {292: 1}),
    "group3 in two dimensions, filled": (FaxKind(line_ends=True, two_dimensional=True), {292: 5}),
    "group4": (FaxKind(two_dimensional=True), {}),
    "tiff_ccitt": (FaxKind(align=8), {}),
}

Black = npt.NDArray[np.bool_]


def encoded(black: Black, name: str) -> bytes:
    """`black` as one strip."""
    compression, _, _ = name.partition(" ")
    options = {262: 0, 278: black.shape[0], **KINDS[name][1]}
    data = encode(Image.fromarray(~black), "TIFF", compression=compression, tiffinfo=options)
    ((start, end),) = segments(data)
    return data[start:end]


def decoded(data: bytes, name: str, black: Black) -> npt.NDArray[np.uint8]:
    height, width = black.shape
    return FaxDecoder(KINDS[name][0]).decode(data, width, height)


@st.composite
def pictures(draw: st.DrawFn) -> Black:
    width, height = draw(st.integers(1, 6000)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.sampled_from([0.0, 0.001, 0.02, 0.5, 0.98, 1.0]))
    black = random.random((height, width)) < share
    if draw(st.booleans()):  # rows that resemble each other, for codes of differences
        black |= np.roll(black, 1, axis=0)
    return np.asarray(black)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None)
@given(black=pictures())
def test_what_libtiff_encodes_comes_back(name: str, black: Black) -> None:
    assert np.array_equal(decoded(encoded(black, name), name, black), black)


def test_every_code_is_known_and_only_the_end_of_a_line_is_none() -> None:
    for table in (WHITE, BLACK):
        unknown = [bits for bits, (length, _) in enumerate(table) if not length]
        assert unknown == list(range(1 << (RUN_BITS - 8)))  # they begin with 8 zeros


@pytest.mark.parametrize("name", KINDS)
def test_a_strip_that_is_cut_off_is_refused(name: str) -> None:
    black = noise(64, 40)[:, :, 0] > 128
    data = encoded(black, name)
    for length in range(len(data)):
        try:
            pixels = decoded(data[:length], name, black)
        except ValueError:
            continue
        assert np.array_equal(pixels, black)  # only the end of the last line was missing
        assert length > len(data) - 12


@pytest.mark.parametrize("name", KINDS)
def test_rows_that_are_missing_are_an_error(name: str) -> None:
    black = noise(64, 40)[:, :, 0] > 128
    with pytest.raises(ValueError, match="row 40 of 41"):
        decoded(encoded(black, name), name, np.vstack([black, black[:1]]))


def test_a_line_that_is_too_long_is_an_error() -> None:
    black = noise(64, 40)[:, :, 0] > 128
    for name in ("group3", "tiff_ccitt"):
        with pytest.raises(ValueError, match=r"too long|no code"):
            decoded(encoded(black, name), name, black[:, :-1])


def test_group_3_without_ends_of_lines() -> None:
    # White 2, black 2; then white 0, black 4.
    data = int("01111100110101011" + "0" * 7, 2).to_bytes(3, "big")
    pixels = FaxDecoder(FaxKind(line_ends=True)).decode(data, 4, 2)
    assert pixels.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]


def test_runs_of_no_pixels_within_a_line() -> None:
    """Encoders without the longest codes split long runs by an empty one of the other colour."""
    # White 2, black 0, white 2; the next line is the same as the one above.
    data = int("011100001101110111" + "0" * 6, 2).to_bytes(3, "big")
    assert FaxDecoder(FaxKind()).decode(data, 4, 1).tolist() == [[0, 0, 0, 0]]
    horizontal = "00101110000110111"
    data = int(horizontal + "11" + "0" * 5, 2).to_bytes(3, "big")
    pixels = FaxDecoder(FaxKind(two_dimensional=True)).decode(data, 4, 2)
    assert pixels.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_runs_of_an_image_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.tile(np.array([True, False]), (10, 50))
    data = encoded(black, "group4")
    monkeypatch.setattr(tiff_fax, "MAX_RUNS", 1500)
    decoder = FaxDecoder(FaxKind(two_dimensional=True))
    decoder.decode(data, 100, 10)  # about a thousand
    with pytest.raises(TooManyRunsError):
        decoder.decode(data, 100, 10)


@settings(max_examples=500, deadline=None)
@given(
    data=st.binary(max_size=200),
    width=st.integers(1, 100),
    height=st.integers(1, 20),
    name=st.sampled_from(sorted(KINDS)),
)
def test_whatever_is_decoded_there_is_an_image_or_an_error(
    data: bytes, width: int, height: int, name: str
) -> None:
    try:
        pixels = FaxDecoder(KINDS[name][0]).decode(data, width, height)
    except ValueError:
        return
    assert pixels.shape == (height, width)
    assert pixels.max() <= 1
