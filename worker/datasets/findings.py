"""What can be wrong with a data set, or worth knowing about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self

__all__ = ["Finding", "Kind"]


class Kind(enum.Enum):
    """What was found. Each member is `(label, whether the data set has to be corrected)`."""

    # Of how it is laid out: it is not opened for training or evaluation before these are corrected.
    BAD_LINE = ("bad_line", True)
    UNKNOWN_ID = ("unknown_id", True)
    ID_GAP = ("id_gap", True)
    REPEATED_LABEL = ("repeated_label", True)
    BAD_LABEL = ("bad_label", True)
    NESTED = ("nested", True)
    # Of the images.
    UNREADABLE = ("unreadable", True)
    EMPTY_CLASS = ("empty_class", True)
    ONE_IMAGE = ("one_image", True)
    NOT_TRAINED = ("not_trained", True)
    ONE_CLASS = ("one_class", True)
    TWO_LABELS = ("two_labels", True)
    ACROSS_SPLITS = ("across_splits", True)
    # Worth knowing.
    REPEATED = ("repeated", False)
    OUTSIDE = ("outside", False)
    NOT_READ = ("not_read", False)
    NOT_TESTED = ("not_tested", False)
    UNEVEN = ("uneven", False)
    NEAR_NAMES = ("near_names", False)

    def __init__(self, label: str, wrong: bool) -> None:
        self.label = label
        self.wrong = wrong

    @property
    def of_layout(self) -> bool:
        """Whether it is wrong with the layout, which is known before any image is decoded."""
        return self in _OF_LAYOUT


_OF_LAYOUT = frozenset(
    {
        Kind.BAD_LINE,
        Kind.UNKNOWN_ID,
        Kind.ID_GAP,
        Kind.REPEATED_LABEL,
        Kind.BAD_LABEL,
        Kind.NESTED,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        where: the image, the class, or the list and its line.
        message: what is the matter and, if it is wrong, what to change.
        names: all images that it is about, where these are several.
    """

    kind: Kind
    where: str
    message: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"

    @classmethod
    def of_line(cls, kind: Kind, file: str, line: int, message: str) -> Self:
        """Make a finding about a line of a list.

        Args:
            line: counted from 1.

        Returns:
            The finding.
        """
        return cls(kind, f"{file}:{line}", message)
