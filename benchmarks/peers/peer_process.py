"""A peer as a process of its own, in its own environment."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.talking_process import TalkingProcess
from worker.runtime.child_environment import child_environment

__all__ = ["PeerProcess", "paddlex_environment"]

ROOT = Path(__file__).parents[2]


class PeerProcess(TalkingProcess):
    """A Python module in some environment; a context manager that is left when it is gone.

    Args:
        python: the environment's interpreter.
        module: what is run, as by `python -m`.
        log_path: file that gets its standard error, and its standard output unless `talk` is set.
        environ: more variables.
        talk: whether lines are exchanged with it by `ask`.
    """

    def __init__(
        self,
        python: Path,
        module: str,
        arguments: Sequence[str],
        log_path: Path,
        *,
        environ: Mapping[str, str] | None = None,
        talk: bool = False,
    ) -> None:
        super().__init__(
            "the peer",
            # Not the current directory first, but this repository, which has the programs.
            [str(python), "-P", "-m", module, *arguments],
            child_environment() | {"PYTHONPATH": str(ROOT), **(environ or {})},
            log_path,
            directory=log_path.parent,
            talk=talk,
        )

    def wait_for_url(self, url: str, timeout: float) -> None:
        """Return once a GET of an address on loopback succeeds.

        Raises:
            DemoError: the process ended, or nothing answers after `timeout` seconds.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + timeout
        while True:
            try:
                opener.open(url, timeout=5).close()
            except OSError:
                if not self.running:
                    raise self.failed("ended instead of answering") from None
                if time.monotonic() > deadline:
                    raise self.failed(f"did not answer within {timeout:.0f} s") from None
                time.sleep(0.1)
            else:
                return


def paddlex_environment(python: Path, cache: Path) -> dict[str, str]:
    """Make the variables by which PaddleX uses what is on this machine, and asks no network.

    Args:
        python: the interpreter of its environment.
        cache: takes its own files.

    Returns:
        The variables.

    Raises:
        FileNotFoundError: the environment has no font, which PaddleX would download.
    """
    fonts = python.parents[1].glob(
        "lib/*/site-packages/matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf"
    )
    font = next(fonts, None)
    if font is None:
        raise FileNotFoundError(f"matplotlib's font is missing in {python.parents[1]}")
    return {
        "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True",
        "PADDLE_PDX_CACHE_HOME": str(cache),
        "PADDLE_PDX_LOCAL_FONT_FILE_PATH": str(font),
        "HF_HUB_OFFLINE": "1",
    }
