"""A network for which Paddle prints on standard output, and an image that a codec complains of."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

__all__ = ["PRINTED", "complained_about", "printing_model"]

PRINTED = "ReduceMeanCheckIfOneDNNSupport"
"""What Paddle 3.3 says of a mean over the last two axes, on standard output."""

_EXPORT = """
import sys, paddle

class Network(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.convolution = paddle.nn.Conv2D(3, 8, 7, 7)
        self.classes = paddle.nn.Linear(8, 4)

    def forward(self, images):
        features = paddle.mean(self.convolution(images), axis=[-2, -1])
        return paddle.nn.functional.softmax(self.classes(features))

network = Network()
network.eval()
images = paddle.static.InputSpec([None, 3, 28, 28], "float32", name="x")
paddle.jit.save(network, sys.argv[1], input_spec=[images])
"""

_CONFIG = """
Global: {model_name: printing}
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 28}
  - CropImage: {size: 28}
  - NormalizeImage:
      {scale: 0.00392156862745098, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], order: ''}
  - ToCHWImage:
PostProcess:
  Topk: {topk: 2, label_list: [a, b, c, d]}
"""


def printing_model(directory: Path) -> Path:
    """Make the network's directory, in a process of its own: Paddle keeps much."""
    script = directory / "export.py"
    # A file: Paddle reads the network's source.
    script.write_text(_EXPORT, "utf-8")
    subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(directory / "inference")],
        env=os.environ | {"GLOG_minloglevel": "2"},
        capture_output=True,
        timeout=120,
        check=True,
    )
    (directory / "inference.yml").write_text(_CONFIG, "utf-8")
    return directory


def complained_about() -> bytes:
    """A PNG of 8 x 8 pixels that has two rows more: libpng warns of it, and goes on."""
    rows = (b"\0" + bytes(3 * 8)) * 10
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [
            (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
    )
