"""The objectives, read from deploy/prometheus/rules/objectives.yaml, the one place to set them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from deploy.grafana.source.names import RULES

__all__ = ["OBJECTIVES", "Objectives"]


@dataclass(frozen=True, slots=True)
class Objectives:
    """What is promised, and what counts against it.

    Attributes:
        success: share of jobs that must not fail by the worker's fault.
        faults: the matcher of the reasons that are such faults.
        latency: share of jobs that must be answered in time.
        bound: that time, as the bucket's label `le` has it, in seconds.
        drain: seconds in which a backlog must be gone.
    """

    success: float
    faults: str
    latency: float
    bound: str
    drain: float


def _read() -> Objectives:
    text = (RULES / "objectives.yaml").read_text("utf-8")
    budgets: dict[str, float] = {}
    drain = 0.0
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            if rule.get("record") == "classify:error_budget:ratio":
                budgets[rule["labels"]["objective"]] = _constant(rule["expr"])
            elif rule.get("record") == "classify:drain_objective:seconds":
                drain = _constant(rule["expr"])
    return Objectives(
        success=1 - budgets["success"],
        faults=_only(r'reason=~"[^"]+"', text),
        latency=1 - budgets["latency"],
        bound=_only(r'le="([^"]+)"', text),
        drain=drain,
    )


def _constant(expression: str) -> float:
    return float(_only(r"^vector\((.+)\)$", expression))


def _only(pattern: str, text: str) -> str:
    """The one text that a pattern finds, wherever and however often it stands."""
    found = set(re.findall(pattern, text))
    if len(found) != 1:
        raise ValueError(f"{sorted(found)} for {pattern} in the objectives: there must be one")
    return str(found.pop())


OBJECTIVES = _read()
