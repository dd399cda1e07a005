"""`python -m benchmarks.tiff_damage`: what decoders make of damaged TIFF files, for docs/images.md.

Every decoder gets the same files: of each kind many copies, damaged inside a strip or tile. An
answer is right when it is an error or the undamaged pixels. Where it is neither, damage went
unnoticed; that is avoidable when any of the decoders noticed it, as some damage makes another valid
file.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.support.make import encode, noise
from tests.support.make_tiff import damages, kinds, write
from worker.errors import JobError
from worker.images.decode import decode
from worker.settings import DecodeSettings

Pixels = npt.NDArray[Any]
LIMITS = DecodeSettings(max_bytes=100_000_000)


def opencv(data: bytes) -> Pixels:
    """With libtiff inside, as this worker once did."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    if pixels is None:
        raise ValueError("no image")
    return pixels


def pillow(data: bytes) -> Pixels:
    """With libtiff inside, and its return codes checked."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return np.asarray(image)


def tifffile_imagecodecs(data: bytes) -> Pixels:
    """Without conversion of colours."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return np.asarray(file.pages[0].asarray(maxworkers=1))


DECODERS: dict[str, Callable[[bytes], Pixels]] = {
    "OpenCV": opencv,
    "Pillow": pillow,
    "tifffile": tifffile_imagecodecs,
    "worker": lambda data: decode(data, LIMITS),
}


@dataclass
class Tally:
    """What a decoder made of damaged files."""

    refused: int = 0
    same: int = 0
    wrong: int = 0
    avoidable: int = 0


def attempt(decoder: Callable[[bytes], Pixels], data: bytes) -> Pixels | None:
    """The pixels, or None for whatever error."""
    try:
        return decoder(data)
    except (JobError, OSError, ValueError, TypeError, RuntimeError, IndexError, SyntaxError):
        return None


def judge(data: bytes, copies: int, seed: int) -> dict[str, Tally]:
    """What each decoder that reads `data` makes of damaged copies."""
    whole = {name: attempt(decoder, data) for name, decoder in DECODERS.items()}
    tallies = {name: Tally() for name, pixels in whole.items() if pixels is not None}
    for damaged in damages(data, copies, seed):
        found = {name: attempt(DECODERS[name], damaged) for name in tallies}
        noticed = any(pixels is None for pixels in found.values())
        for name, pixels in found.items():
            if pixels is None:
                tallies[name].refused += 1
            elif (before := whole[name]) is not None and np.array_equal(pixels, before):
                tallies[name].same += 1
            else:
                tallies[name].wrong += 1
                tallies[name].avoidable += noticed
    return tallies


def large() -> dict[str, bytes]:
    """Images of 3 million pixels, for the time that decoding takes."""
    rgb = noise(2000, 1500)
    options: dict[str, Any] = {"photometric": "rgb", "rowsperstrip": 8}
    return {
        "uncompressed": write(rgb, **options),
        "LZW, predictor": write(rgb, compression="lzw", predictor=2, **options),
        "Deflate, predictor": write(rgb, compression="zlib", predictor=2, **options),
        "PackBits": write(rgb, compression="packbits", **options),
        "JPEG, tiles of 256": write(
            rgb, photometric="ycbcr", compression="jpeg", tile=(256, 256), subsampling=(2, 2)
        ),
        "Deflate, 16 bits": write(
            rgb.astype(np.uint16) * 257, compression="zlib", predictor=2, **options
        ),
        "fax group 4": encode(Image.fromarray(rgb[:, :, 0] > 128), "TIFF", compression="group4"),
    }


def milliseconds(decoder: Callable[[bytes], Pixels], data: bytes, rounds: int) -> float:
    """The quickest of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        decoder(data)
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def main(
    copies: Annotated[int, typer.Option(min=1, help="Damaged copies of each kind.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each file is decoded.")] = 5,
) -> None:
    """Compare the decoders of TIFF."""
    console = Console()
    table = Table("kind", *DECODERS, title="refused, same, unnoticed (avoidable)")
    total = {name: Tally() for name in DECODERS}
    for seed, (kind, data) in enumerate(kinds().items()):
        tallies = judge(data, copies, seed)
        cells = []
        for name in DECODERS:
            tally = tallies.get(name)
            if tally is None:
                cells.append("not read")
                continue
            cells.append(f"{tally.refused}, {tally.same}, {tally.wrong} ({tally.avoidable})")
            total[name].refused += tally.refused
            total[name].same += tally.same
            total[name].wrong += tally.wrong
            total[name].avoidable += tally.avoidable
        table.add_row(kind, *cells)
    table.add_row(
        "all", *(f"{t.refused}, {t.same}, {t.wrong} ({t.avoidable})" for t in total.values())
    )
    console.print(table)
    times = Table("3 million pixels", *DECODERS, title="milliseconds")
    for kind, data in large().items():
        times.add_row(
            kind, *(f"{milliseconds(decoder, data, rounds):.0f}" for decoder in DECODERS.values())
        )
    console.print(times)


if __name__ == "__main__":
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    typer.run(main)
