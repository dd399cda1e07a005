"""What files hold, byte by byte: which are the same, and the digest of a data set."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from worker.cache import sha256_of
from worker.datasets.dataset import Dataset, Item

__all__ = ["digest", "digest_of_file", "same_contents"]


def digest(dataset: Dataset, contents: Mapping[Path, str | None] | None = None) -> str:
    """Hash labels and contents, in the order of the classes; of images the order does not count.

    Neither names nor splits count, nor where the data set lies.

    Args:
        contents: `digest_of_file` of each file; None reads them all.

    Returns:
        `sha256:...`.
    """
    if contents is None:
        paths = dict.fromkeys(item.path for item in dataset.items)
        contents = {path: digest_of_file(path) for path in paths}
    ids = {label: number for number, label in enumerate(dataset.labels)}
    whole = hashlib.sha256()
    for label in dataset.labels:
        whole.update(os.fsencode(label) + b"\0")
    for image in sorted(f"{ids[item.label]} {contents[item.path]}\n" for item in dataset.items):
        whole.update(image.encode())
    return f"sha256:{whole.hexdigest()}"


def digest_of_file(path: Path) -> str | None:
    """Hash a file.

    Returns:
        64 hexadecimal digits; None if it cannot be read, or is no plain file.
    """
    try:
        # Opening a pipe would wait for its writer.
        return sha256_of(path) if stat.S_ISREG(path.stat().st_mode) else None
    except (OSError, ValueError):
        return None


def same_contents(items: Iterable[Item]) -> list[list[Item]]:
    """Put images together whose files are the same, byte by byte.

    Only files that are of the same size are read.

    Returns:
        Groups, each of one item at least; what cannot be read is alone. Items of a group may have
        different labels.
    """
    by_size: dict[int | None, list[Item]] = defaultdict(list)
    for item in items:
        by_size[_size(item.path)].append(item)
    groups: list[list[Item]] = []
    for size, same_size in by_size.items():
        if size is None or len(same_size) == 1:
            groups += [[item] for item in same_size]
            continue
        by_content: dict[str, list[Item]] = defaultdict(list)
        for item in same_size:
            found = digest_of_file(item.path)
            if found is None:
                groups.append([item])
            else:
                by_content[found].append(item)
        groups += by_content.values()
    return groups


def _size(path: Path) -> int | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
