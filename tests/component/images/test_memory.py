"""Real codecs in a process with a limit on its memory: no good image is ever called damaged."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.allocator import GIVES_BACK
from tests.support.paths import ROOT

SCRIPT = """
import collections, resource, sys
import numpy as np
from PIL import Image
from tests.support.make import encode, noise, oriented
from worker.errors import JobError
from worker.images.decode import decode
from worker.images.draw import draw, shrink
from worker.images.encode import encode as write
from worker.images.memory import raising_memory_errors
from worker.images.transform import Transform
from worker.model import CenterCrop, Resize
from worker.settings import DecodeSettings

RGB = noise(900, 600)
PICTURE = Image.fromarray(RGB)
LARGE = PICTURE.resize((2400, 1600))
LIMITS = DecodeSettings()
CROP = CenterCrop(224, 224)
work = {
    "JPEG": lambda: decode(files["JPEG"], LIMITS),
    "resize by OpenCV": lambda: Transform(Resize(800, None), CROP)(RGB),
    "resize by Pillow": lambda: Transform(Resize(800, None, backend="pil"), CROP)(RGB),
    "bicubic": lambda: Transform(Resize(500, None, "bicubic", "pil"), CROP)(RGB),
    "shrink": lambda: shrink(RGB, 600),
    "draw": lambda: draw(RGB, "tiger cat", 0.5, 85),
    "write JPEG": lambda: write(RGB, ".jpg", 85),
    "write PNG": lambda: write(RGB, ".png", 85),
    "write WebP": lambda: write(RGB, ".webp", 85),
    "write TIFF": lambda: write(RGB, ".tif", 85),
    "write BMP": lambda: write(RGB, ".bmp", 85),
}
files = {
    "JPEG": encode(LARGE, "JPEG"),
    "JPEG progressive": encode(LARGE, "JPEG", progressive=True),
    "JPEG CMYK": encode(LARGE.convert("CMYK"), "JPEG"),
    "JPEG turned": oriented(LARGE, "JPEG", 6),
    "PNG": encode(PICTURE, "PNG"),
    "PNG turned": oriented(PICTURE, "PNG", 6),
    "WebP": encode(PICTURE, "WEBP"),
    "WebP lossless": encode(PICTURE, "WEBP", lossless=True),
    "WebP animated": encode(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)]),
    "BMP": encode(LARGE, "BMP"),
    "GIF": encode(PICTURE.quantize(32), "GIF"),
}
for name in files:
    work["decode " + name] = lambda name=name: decode(files[name], LIMITS)
for call in work.values():
    call()  # loads what loads late


def mapped():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[0]) * resource.getpagesize()


seen = collections.Counter()
for megabytes in (0, 1, 2, 4, 6, 9, 12, 16, 20, 26):
    for name, call in work.items():
        resource.setrlimit(resource.RLIMIT_AS, (mapped() + megabytes * 2**20, -1))
        try:
            with raising_memory_errors():
                call()
            seen["done"] += 1
        except MemoryError:
            seen["no memory"] += 1
        except Exception as error:
            print(name, "with", megabytes, "MB:", repr(error), file=sys.stderr)
            seen["wrong"] += 1
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
for call in work.values():
    call()  # and afterwards all is well
print(seen["done"], seen["no memory"], seen["wrong"])
"""


def test_a_shortage_of_memory_is_never_blamed_on_the_image() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        # Each call has to ask for its memory again.
        env={**os.environ, **GIVES_BACK, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    done, no_memory, wrong = map(int, process.stdout.split())
    assert wrong == 0, process.stderr
    assert done > 20
    assert no_memory > 20
