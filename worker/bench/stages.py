"""Where a job's time goes, from a worker's own metrics, between two moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import Metric

__all__ = ["Stages", "stage_milliseconds"]

_FAMILY = "classify_stage_duration_seconds"


class Stages:
    """The stages' sums and counts at one moment."""

    def __init__(self, read: Mapping[tuple[str, str], float]) -> None:
        self._read = read

    def until(self, families: Iterable[Metric]) -> dict[str, float]:
        """Tell how long stages took from that moment on.

        Returns:
            Milliseconds per job, for stages in which there were jobs.
        """
        now = stage_milliseconds(families)._read  # noqa: SLF001 - of the same class
        found = {}
        for (what, stage), seconds in now.items():
            if what != "_sum":
                continue
            jobs = now["_count", stage] - self._read.get(("_count", stage), 0.0)
            if jobs > 0:
                found[stage] = (seconds - self._read.get((what, stage), 0.0)) / jobs * 1000
        return found


def stage_milliseconds(families: Iterable[Metric]) -> Stages:
    """Read the stages at this moment.

    Args:
        families: of a registry, or parsed from `/metrics`.

    Returns:
        What a later moment is compared with.
    """
    read = {}
    for family in families:
        if family.name == _FAMILY:
            for sample in family.samples:
                for end in ("_sum", "_count"):
                    if sample.name == _FAMILY + end:
                        read[end, sample.labels["stage"]] = sample.value
    return Stages(read)
