"""What the user names to save results in: a directory, or one file. Loads no codec."""

from __future__ import annotations

from pathlib import Path

from worker.errors import SettingsError

__all__ = ["is_directory", "picture_directory"]


def picture_directory(target: str) -> Path:
    """Check that a name is that of a directory, for pictures of any number of images.

    Args:
        target: the name as the user wrote it.

    Returns:
        The directory; it need not exist.

    Raises:
        SettingsError: it is a file, or a name that looks like a file's.
    """
    if not is_directory(target):
        raise SettingsError(
            f"--save-dir {target}: pictures are saved in a directory, one file each. For a "
            f"directory of that name write {target}/ with a slash"
        )
    return Path(target)


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
