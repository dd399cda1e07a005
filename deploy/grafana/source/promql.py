"""PromQL over what the worker exports. A name or label that it does not export is an error here.

So a metric that is renamed in `worker/metrics` cannot leave a panel behind: the dashboards can no
longer be generated, and `tests/unit/test_metrics_queries.py`, which generates them, fails.
"""

from __future__ import annotations

import re

from deploy.grafana.source.names import ADDED_LABELS, recorded, samples

__all__ = [
    "gauge",
    "growth",
    "increase",
    "largest",
    "quantile",
    "rate",
    "rule",
    "smallest",
    "total",
]

REPLICAS = 'job=~"$job", instance=~"$instance"'
"""The replicas that the dashboard's variables select."""

JOBS = 'job=~"$job"'
"""The same for recorded series, each of which is one for all replicas of a job."""


def gauge(name: str, *matchers: str) -> str:
    """Select the series of a metric, as they are now.

    Args:
        matchers: further ones, such as `outcome="failure"`.

    Returns:
        A selector of the chosen replicas' series.

    Raises:
        ValueError: the worker exports no such metric, or not with such a label.
    """
    labels = samples().get(name)
    if labels is None:
        raise ValueError(f"worker/metrics has no {name}")
    for matcher in matchers:
        label = re.split(r"[=!]", matcher, maxsplit=1)[0]
        if label not in labels:
            raise ValueError(f"{name} has no label {label}")
    return f"{name}{{{', '.join((REPLICAS, *matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    """Compute how much a counter grows.

    Returns:
        The growth per second, one series for each of the counter's.
    """
    return f"rate({gauge(name, *matchers)}[$__rate_interval])"


def increase(name: str, *matchers: str) -> str:
    """Compute by how much a counter grew from one point of the graph to the next.

    Returns:
        The growth, one series for each of the counter's.
    """
    return f"increase({gauge(name, *matchers)}[$__rate_interval])"


def growth(name: str, *matchers: str) -> str:
    """Compute by how much a counter grew in the dashboard's whole time range.

    Returns:
        The growth, one series for each of the counter's.
    """
    return f"increase({gauge(name, *matchers)}[$__range])"


def rule(name: str, *matchers: str) -> str:
    """Select the series that a recording rule makes.

    Returns:
        A selector of the chosen jobs' series.

    Raises:
        ValueError: there is no such rule.
    """
    if name not in recorded():
        raise ValueError(f"deploy/prometheus/rules records no {name}")
    return f"{name}{{{', '.join((JOBS, *matchers))}}}"


def total(expression: str, *by: str) -> str:
    """Add series up, by labels if any are named.

    Returns:
        The sums.
    """
    return _aggregate("sum", expression, by)


def largest(expression: str, *by: str) -> str:
    """Take the largest value, by labels if any are named.

    Returns:
        The maxima.
    """
    return _aggregate("max", expression, by)


def smallest(expression: str, *by: str) -> str:
    """Take the smallest value, by labels if any are named.

    Returns:
        The minima.
    """
    return _aggregate("min", expression, by)


def quantile(share: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Estimate a quantile over all chosen replicas, from their buckets added up.

    Args:
        share: 0.95 for the 95th percentile.
        histogram: the histogram's name, without `_bucket`.

    Returns:
        The quantile, one for each value of the labels `by`.
    """
    buckets = total(rate(f"{histogram}_bucket", *matchers), "le", *by)
    return f"histogram_quantile({share:g}, {buckets})"


def _aggregate(operator: str, expression: str, by: tuple[str, ...]) -> str:
    known = ADDED_LABELS | {label for labels in samples().values() for label in labels}
    unknown = set(by) - known
    if unknown:
        raise ValueError(f"no metric has the label {', '.join(sorted(unknown))}")
    grouping = f" by ({', '.join(by)}) " if by else ""
    return f"{operator}{grouping}({expression})"
