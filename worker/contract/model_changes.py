"""How a change of the model ended, and what `/admin/model` says of it. Pure functions."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, TypeAlias

from worker.contract.jobs import ModelIdentity

__all__ = [
    "Cause",
    "ChangeOutcome",
    "CheckFigures",
    "ModelChange",
    "ModelState",
    "change_fields",
    "identity_fields",
    "state_fields",
]

Cause: TypeAlias = Literal["request", "signal", "watch"]
"""Who asked: `POST /admin/model`, SIGHUP, or the directory itself (`model_watch`)."""


class ChangeOutcome(enum.Enum):
    """How a change ended: a closed set, so that it can be a metric label.

    Each member is `(label, HTTP status)`.
    """

    CHANGED = ("changed", 200)
    UNCHANGED = ("unchanged", 200)
    """The model that was asked for serves already."""
    BAD_MODEL = ("bad_model", 422)
    CHECK_FAILED = ("check_failed", 422)
    """It loads, and does not answer the golden images as it should."""
    BAD_SETTINGS = ("bad_settings", 500)
    """The settings cannot be read again."""
    NO_MEMORY = ("no_memory", 507)
    FAILED = ("failed", 500)

    def __init__(self, label: str, status: int) -> None:
        self.label = label
        self.status = status

    @property
    def serves(self) -> bool:
        """Whether the model that was asked for serves now."""
        return self in (ChangeOutcome.CHANGED, ChangeOutcome.UNCHANGED)


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """What a new model answered to the golden images.

    Attributes:
        images: how many there are.
        right: for how many the best class is the right one.
        least: the least share of right ones, 0 to 1.
    """

    images: int
    right: int
    least: float

    @property
    def top1(self) -> float:
        """The share of right ones, 0 to 1."""
        return self.right / self.images


@dataclass(frozen=True, slots=True)
class ModelChange:
    """A change of the model that has ended.

    Attributes:
        wanted: the name or directory that was asked for.
        cause: who asked.
        message: one sentence, on what to change if it failed.
        began: seconds since the epoch.
        seconds: that it took.
        former: the model that served before.
        serving: the one that serves now, the same if the change failed.
        check: figures of the golden images; None if they were not asked.
    """

    wanted: str
    cause: Cause
    outcome: ChangeOutcome
    message: str
    began: float
    seconds: float
    former: ModelIdentity
    serving: ModelIdentity
    check: CheckFigures | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """The model that serves, and what is known of changes.

    Attributes:
        serving: it.
        wanted: the model that is about to serve; None while there is no change.
        step: what the change is doing; empty while there is none.
        last: the last change that ended; None before the first.
    """

    serving: ModelIdentity
    wanted: str | None = None
    step: str = ""
    last: ModelChange | None = None


def identity_fields(model: ModelIdentity) -> dict[str, object]:
    """Make the fields that name a model, as results have them.

    Returns:
        `name`, `digest` and `backend`.
    """
    return {"name": model.name, "digest": model.digest, "backend": model.backend}


def change_fields(change: ModelChange) -> dict[str, object]:
    """Make the fields that say how a change ended.

    Returns:
        What JSON has; `check` only if golden images were asked.
    """
    fields: dict[str, object] = {
        "outcome": change.outcome.label,
        "message": change.message,
        "wanted": change.wanted,
        "cause": change.cause,
        "model": identity_fields(change.serving),
        "former": identity_fields(change.former),
        "beganMs": round(change.began * 1000),
        "seconds": round(change.seconds, 3),
    }
    if (check := change.check) is not None:
        fields["check"] = {
            "images": check.images,
            "right": check.right,
            "top1": round(check.top1, 4),
            "least": check.least,
        }
    return fields


def state_fields(state: ModelState) -> dict[str, object]:
    """Make the fields that say which model serves, and what is known of changes.

    Returns:
        `model`; `change`, which is null while there is none; `last`, null before the first.
    """
    change = None if state.wanted is None else {"wanted": state.wanted, "step": state.step}
    last = None if state.last is None else change_fields(state.last)
    return {"model": identity_fields(state.serving), "change": change, "last": last}
