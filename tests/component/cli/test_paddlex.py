"""PaddleX's options without a command are wrong usage, as a command line."""

from __future__ import annotations

import subprocess
import sys


def test_it_is_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker", "--pipeline", "image_classification", "--input", "a.jpg"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "classify-worker: options follow a command here:\n    "
        "classify-worker predict --pipeline image_classification --input a.jpg\n"
    )
