"""Every panel, variable and rule has data when a real Prometheus watches real workers."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.grafana.source.dashboards import DASHBOARDS, DIRECTORY
from deploy.grafana.source.names import recorded
from tests.support.harness import until
from tests.support.observed import Observed

BOUND = 30.0

NEEDS_A_GPU = {"GPU use", "GPU memory"}
"""Panels without data on a machine without one."""


def dashboards() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in DASHBOARDS:
        yield name, json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))


TARGETS = [
    pytest.param(target, id=f"{name}-{panel['title']}-{target['refId']}")
    for name, dashboard in dashboards()
    for panel in dashboard["panels"]
    if panel["type"] != "row" and panel["title"] not in NEEDS_A_GPU
    for target in panel["targets"]
]
VARIABLES = [
    pytest.param(variable["query"]["query"], variable.get("regex", ""), id=f"{name}-{label}")
    for name, dashboard in dashboards()
    for variable in dashboard["templating"]["list"]
    if variable["type"] == "query"
    for label in [variable["name"]]
]


def filled(expression: str, observed: Observed) -> str:
    """The query as Grafana sends it, with all values of all variables chosen."""
    seconds = f"{math.ceil(time.time() - observed.began)}s"
    for name, value in (("$__rate_interval", "8s"), ("$__range", seconds)):
        expression = expression.replace(name, value)
    return re.sub(r"\$[a-z]\w*", ".*", expression)


def has_data(series: list[dict[str, Any]]) -> bool:
    samples = [each.get("values") or [each["value"]] for each in series]
    return any(value != "NaN" for values in samples for _, value in values)


@pytest.mark.parametrize("target", TARGETS)
def test_a_panels_query_returns_data(target: dict[str, Any], observed: Observed) -> None:
    def answered() -> bool:
        expression = filled(target["expr"], observed)
        if target.get("instant"):
            return has_data(observed.prometheus.query(expression))
        return has_data(
            observed.prometheus.query_range(expression, observed.began, time.time(), "1s")
        )

    until(answered, target["expr"], BOUND)


@pytest.mark.parametrize(("query", "regex"), VARIABLES)
def test_a_variable_has_values(query: str, regex: str, observed: Observed) -> None:
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)

    def values() -> list[str]:
        if asked:
            answer = observed.prometheus.ask(
                f"/api/v1/label/{asked[2]}/values", **{"match[]": filled(asked[1], observed)}
            )
            return list(answer["data"])
        inner = query.removeprefix("query_result(").removesuffix(")")
        # Grafana writes a result as text, and the expression takes the value out of that.
        lines = [
            "{" + ",".join(f'{name}="{value}"' for name, value in each["metric"].items()) + "}"
            for each in observed.prometheus.query(filled(inner, observed))
        ]
        return [found for line in lines for found in re.findall(regex.strip("/"), line)]

    until(lambda: bool(values()), query, BOUND)


@pytest.mark.parametrize("name", sorted(recorded()))
def test_a_recording_rule_records(name: str, observed: Observed) -> None:
    until(lambda: has_data(observed.prometheus.query(name)), name, BOUND)


def test_prometheus_evaluates_every_rule_without_a_fault(observed: Observed) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = observed.prometheus.ask("/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "evaluated", BOUND)
    assert {rule["name"]: rule.get("lastError") for rule in rules() if rule["health"] != "ok"} == {}


def test_an_alert_reaches_alertmanager(observed: Observed) -> None:
    def reasons() -> set[str]:
        alerts = observed.alertmanager.ask("/api/v2/alerts")
        return {
            alert["labels"]["reason"]
            for alert in alerts
            if alert["labels"]["alertname"] == "ClassifyFirstDeadLetter"
        }

    until(lambda: {"not_json", "not_found", "poison"} <= reasons(), "first dead letters", BOUND)


def test_prometheus_reads_every_worker(observed: Observed) -> None:
    until(lambda: len(observed.prometheus.query("up == 1")) == 2, "both are scraped", BOUND)
