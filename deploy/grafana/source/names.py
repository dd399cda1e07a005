"""What queries may name: the worker's own metrics with their labels, and the recorded series."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import yaml
from prometheus_client.metrics import MetricWrapperBase

from worker.metrics import Metrics

__all__ = ["ADDED_LABELS", "RULES", "recorded", "samples"]

RULES = Path(__file__).parents[2] / "prometheus" / "rules"

ADDED_LABELS = frozenset({"instance", "job", "namespace", "objective"})
"""Labels that Prometheus or a recording rule adds."""

INFO_LABELS = {
    "classify_build": {"version"},
    "classify_model": {"backend", "device", "digest", "name"},
    "classify_worker": {"group", "replica", "topic"},
}
"""Labels of the metrics that tell them when they are set."""

SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
}


@functools.cache
def samples() -> Mapping[str, frozenset[str]]:
    """List the series that a worker exports.

    Returns:
        The label names by the name that a query writes; a histogram has three such names.
    """
    metrics = Metrics()
    wrapped = {
        each._name: each._labelnames  # noqa: SLF001 - there is no public way to ask
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase)
    }
    named: dict[str, frozenset[str]] = {}
    for family in metrics.registry.collect():
        labels = set(
            INFO_LABELS.get(family.name)
            or wrapped.get(family.name)
            or getattr(family, "_labelnames", None)
            or ()
        )
        for suffix in SUFFIXES.get(family.type, ("",)):
            extra = {"le"} if suffix == "_bucket" else set()
            named[family.name + suffix] = frozenset(labels | extra)
    return named


@functools.cache
def recorded() -> Mapping[str, str]:
    """List the series that recording rules make.

    Returns:
        Their expressions by name; of several with one name, the last.
    """
    return {
        rule["record"]: rule["expr"]
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
