"""Packages that need libraries of the system: a sentence instead of a traceback without those."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import MissingLibraryError

__all__ = ["OPENCV_REMEDY", "PADDLE_REMEDY", "importing"]

OPENCV_REMEDY = (
    "install the system libraries of a desktop (on Debian and Ubuntu: apt-get install libgl1 "
    "libglib2.0-0 libxcb1), or, where there is no desktop, the build that needs none, in place of "
    "opencv-python: pip uninstall opencv-python, then pip install opencv-python-headless of the "
    "same version (requirements/headless.txt has it)"
)

PADDLE_REMEDY = (
    "install the system library of OpenMP (on Debian and Ubuntu: apt-get install libgomp1), or the "
    "package anew if it is the package that is missing or damaged: pip install --force-reinstall "
    "paddlepaddle"
)


@contextmanager
def importing(package: str, remedy: str) -> Iterator[None]:
    """Say what to do where the imports within fail.

    Raises:
        MissingLibraryError: in place of `ImportError`; it names the library and the remedy.
    """
    try:
        yield
    except MissingLibraryError:
        raise
    except ImportError as error:
        raise MissingLibraryError(
            f"{package} cannot be loaded ({_fact(error)}): {remedy}"
        ) from error


def _fact(error: ImportError) -> str:
    """The line that names what is missing: packages put advice of their own around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if ".so" in line]
    return (named or lines or [type(error).__name__])[0]
