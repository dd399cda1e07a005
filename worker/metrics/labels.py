"""The values of labels, all that there are: those that code or settings name, never a job."""

from __future__ import annotations

from worker.contract.model_changes import ChangeOutcome
from worker.errors import Reason, Stage

__all__ = [
    "AGREED",
    "BATCH_WAIT",
    "CACHE_HIT",
    "CACHE_MISS",
    "CACHE_OUTCOMES",
    "CACHE_SHARED",
    "CLIENTS",
    "CLOSE_REASONS",
    "COMMIT_OUTCOMES",
    "DIFFERED",
    "DIRECTIONS",
    "DISCONNECTED",
    "DRAIN_CAUSES",
    "DROPPED",
    "EXPIRED",
    "FAILED",
    "HIGHER",
    "IMAGE_RESTART_CAUSES",
    "IMAGE_STAGES",
    "LOWER",
    "MADE_ROOM",
    "MODEL_CHANGES",
    "NO_CERTIFICATE",
    "NO_ROOM",
    "NO_TOKEN",
    "OUTCOMES",
    "RESTART_CAUSES",
    "SHADOW_OUTCOMES",
    "STAGES",
    "TRANSACTION_OUTCOMES",
    "TURNED_AWAY",
    "UNREADABLE_KINDS",
]

BATCH_WAIT = "batch_wait"
"""The `stage` label for the time that a decoded image waits for its batch."""

OUTCOMES = (("success", "ok"), *(("failure", reason.label) for reason in Reason))
STAGES = (*(stage for stage in Stage if stage is not Stage.PARSE), BATCH_WAIT)
IMAGE_STAGES = (Stage.DECODE, Stage.DRAW)
EXPIRED = ("before_start", "under_way")
CLOSE_REASONS = ("full", "shared", "drained", "lingered")
RESTART_CAUSES = ("crash", "timeout")
IMAGE_RESTART_CAUSES = ("crash", "killed", "cpu", "timeout", "parent")
CLIENTS = ("consumer", "producer")
DRAIN_CAUSES = ("rebalance", "shutdown")
COMMIT_OUTCOMES = ("success", "failure")
TRANSACTION_OUTCOMES = ("committed", "aborted", "fenced")
MODEL_CHANGES = tuple(outcome.label for outcome in ChangeOutcome)
UNREADABLE_KINDS = ("content", "damage")
NO_TOKEN, NO_CERTIFICATE, NO_ROOM, MADE_ROOM = "token", "certificate", "no_room", "made_room"
TURNED_AWAY = (NO_TOKEN, NO_CERTIFICATE, NO_ROOM, MADE_ROOM)
CACHE_HIT, CACHE_SHARED, CACHE_MISS = "hit", "shared", "miss"
CACHE_OUTCOMES = (CACHE_HIT, CACHE_SHARED, CACHE_MISS)
AGREED, DIFFERED, DROPPED, FAILED = "agreed", "differed", "dropped", "failed"
SHADOW_OUTCOMES = (AGREED, DIFFERED, DROPPED, FAILED)
HIGHER, LOWER = DIRECTIONS = ("higher", "lower")
DISCONNECTED = "disconnected"
"""The `reason` of a request whose client left."""
