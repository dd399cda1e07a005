"""Packages that need something of the system: a sentence instead of a traceback without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import UnfitSystemError

__all__ = ["DIRECTORY_REMEDY", "OPENCV_REMEDY", "PADDLE_REMEDY", "importing"]

OPENCV_REMEDY = (
    "install the system libraries of a desktop (on Debian and Ubuntu: apt-get install libgl1 "
    "libglib2.0-0 libxcb1), or, where there is no desktop, the build that needs none, in place of "
    "opencv-python: pip uninstall opencv-python, then pip install opencv-python-headless of the "
    "same version (requirements/headless.txt has it)"
)

PADDLE_REMEDY = (
    "install the system library of OpenMP (on Debian and Ubuntu: apt-get install libgomp1), or, if "
    "that is there, the package again: pip install --force-reinstall paddlepaddle"
)

DIRECTORY_REMEDY = "mount a writable directory at /tmp, or name one in TMPDIR"


@contextmanager
def importing(package: str, remedy: str) -> Iterator[None]:
    """Turn failures of the imports within into an error that says what to do.

    Args:
        remedy: where a library, or the package itself, is missing.

    Raises:
        UnfitSystemError: in place of `ImportError` and `OSError`, a directory that the package
            cannot write; it names what is missing and the remedy.
    """
    try:
        yield
    except UnfitSystemError:
        raise
    except ImportError as error:
        raise UnfitSystemError(f"{package} cannot be loaded ({_fact(error)}): {remedy}") from error
    except OSError as error:
        raise UnfitSystemError(
            f"{package} cannot be loaded without a directory that it can write "
            f"({error.strerror or error}): {DIRECTORY_REMEDY}"
        ) from error


def _fact(error: ImportError) -> str:
    """The line that names what is missing: packages put advice of their own around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if ".so" in line]
    return (named or lines or [type(error).__name__])[0]
