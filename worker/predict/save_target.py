"""What the user names to save results in: a directory, or one file. Loads no codec."""

from __future__ import annotations

from pathlib import Path

from worker.errors import SettingsError

__all__ = ["JSON_SUFFIX", "is_directory", "several_images"]

JSON_SUFFIX = ".json"
"""Of a file that gets a result itself, and not its picture."""


def is_directory(target: str) -> bool:
    """Decide whether a name that the user wrote is that of a directory, or of one file.

    Returns:
        True for an existing directory, a name without a suffix, and one that ends in a slash.

    Raises:
        SettingsError: a file of that name is in the way.
    """
    path = Path(target)
    if path.is_dir():
        return True
    if path.suffix and not target.endswith("/"):
        return False
    if path.exists():
        raise SettingsError(f"--save-dir {target} is a file: name a directory")
    return True


def several_images(target: str, count: str) -> SettingsError:
    """Make the error for several images where one file was named.

    Args:
        count: how many there are, as the sentence has it.

    Returns:
        The error, to be raised.
    """
    return SettingsError(
        f"--save-dir {target} is a file for one image, and there are {count}: name a directory"
    )
