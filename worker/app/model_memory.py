"""Whether the processes of a second model find room beside those of the first."""

from __future__ import annotations

from collections.abc import Sequence

from worker.engine.engine import Engine
from worker.model import ModelSpec
from worker.runtime.memory import free_memory, own_bytes

__all__ = ["MemoryShortageError", "check_memory"]

PREDICTOR = 384 << 20
"""Bytes that a predictor process takes with a small network, where none is up to be measured."""

COPIES = 3
"""How often a process holds the weights while it loads: as they were read, as they are computed
with, and once more for single images."""

MARGIN = 64 << 20
"""Bytes that are left to others."""

INSTEAD_OF_CHANGING = "set fewer predictor.slots, or restart the worker with the new model"

MIB = 1 << 20


class MemoryShortageError(Exception):
    """There is no room; the message has the figures, and says what to change."""


def check_memory(
    engine: Engine, spec: ModelSpec, slots: int, *, otherwise: str = INSTEAD_OF_CHANGING
) -> None:
    """Make sure that a model can be loaded beside the one that serves. Blocks for milliseconds.

    What its processes will need is told from those that serve: as much, and what its weights are
    larger.

    Args:
        slots: predictor processes that it gets.
        otherwise: what there is to do besides allowing more memory, for the message.

    Raises:
        MemoryShortageError: it cannot.
    """
    free = free_memory()
    if free is None:
        return
    grows = spec.params.stat().st_size - _size(engine.spec)
    need = _predictors(engine.pool.pids, slots) + _sum(engine.images.pids) + MARGIN
    # Smaller weights are taken off once: that much is certain.
    need += grows * slots * (COPIES if grows > 0 else 1)
    need = max(need, slots * spec.params.stat().st_size)
    if need <= free.nbytes:
        return
    where = (
        "on this machine"
        if free.limit is None
        else f"within this container's limit of {free.limit // MIB} MiB"
    )
    raise MemoryShortageError(
        f"both models at once need about {need // MIB} MiB more, and {free.nbytes // MIB} MiB are "
        f"free {where}: allow more memory, {otherwise}"
    )


def _predictors(pids: Sequence[int], slots: int) -> int:
    """What as many predictors take; those that are down just now count as the others."""
    up = [nbytes for pid in pids if (nbytes := own_bytes(pid))]
    return sum(up) * slots // len(up) if up else slots * PREDICTOR


def _sum(pids: Sequence[int]) -> int:
    return sum(map(own_bytes, pids))


def _size(spec: ModelSpec) -> int:
    try:
        return spec.params.stat().st_size
    except OSError:
        # It was removed, and serves on.
        return 0
