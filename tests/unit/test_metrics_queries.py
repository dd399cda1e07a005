"""Rules and dashboards name metrics that exist, as they are, and leave none out unnoticed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.source import promql
from deploy.grafana.source.dashboards import DASHBOARDS, DIRECTORY
from deploy.grafana.source.names import ADDED_LABELS, RULES, recorded, samples
from deploy.grafana.source.objectives import OBJECTIVES
from tests.support.paths import ROOT
from worker.errors import Reason, Stage
from worker.metrics.buckets import LATENCY_BUCKETS

ON_NO_PANEL = {
    "process_start_time_seconds": "a restart shows in replicas, rebalances and counters",
    "process_virtual_memory_bytes": "what libraries reserve says nothing of what is used",
    "python_info": "classify_build_info names the version that matters",
}
"""Metrics that no panel shows, each with the reason."""

NAME = r"\b(?:job:|classify:|classify_|process_|python_)[\w:]*"
PROMETHEUS_OWN = {"ALERTS", "up"}


def rules() -> Iterator[dict[str, Any]]:
    for path in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels(name: str) -> list[dict[str, Any]]:
    dashboard = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every query of a panel, a variable, an annotation or a rule, with where it stands."""
    for rule in rules():
        yield rule.get("record") or rule["alert"], rule["expr"]
    for name in DASHBOARDS:
        dashboard = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
        for panel in panels(name):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: ${variable['name']}", variable["query"]["query"]
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", annotation["expr"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_what_its_source_makes(name: str) -> None:
    written = (DIRECTORY / f"{name}.json").read_text("utf-8")
    assert written == DASHBOARDS[name].render(), "run: make dashboards"


def test_no_query_names_what_does_not_exist() -> None:
    known = samples().keys() | recorded().keys()
    for where, query in queries():
        named = set(re.findall(NAME, query))
        assert named <= known, where
        # Whatever else looks like a series is one of Prometheus' own.
        others = set(re.findall(r"\b(\w+)\{", re.sub(NAME, "", query)))
        assert others <= PROMETHEUS_OWN, where


def test_no_query_asks_for_a_label_that_its_metric_has_not() -> None:
    every = {label for labels in samples().values() for label in labels} | ADDED_LABELS
    for where, query in queries():
        for name, matchers in re.findall(rf"({NAME})\{{([^}}]*)\}}", query):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert asked <= samples().get(name, frozenset()) | ADDED_LABELS, where
        for labels in re.findall(r"\b(?:by|on|group_left|group_right) \(([^)]*)\)", query):
            asked = {label.strip() for label in labels.split(",")} - {""}
            assert asked <= every | {"alertname", "severity"}, where


@pytest.mark.parametrize("name", ["classify_no_such_total", "job:classify_no_such:rate5m"])
def test_the_source_refuses_a_name_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        (promql.rule if ":" in name else promql.rate)(name)


def test_the_source_refuses_a_label_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no label colour"):
        promql.rate("classify_jobs_total", 'colour="red"')
    with pytest.raises(ValueError, match="the label colour"):
        promql.total("x", "colour")


def test_every_metric_is_on_a_panel_or_left_out_on_purpose() -> None:
    shown = {
        family(name)
        for dashboard in DASHBOARDS
        for panel in panels(dashboard)
        for target in panel["targets"]
        for named in re.findall(NAME, target["expr"])
        # A recorded series shows what its rule is made of.
        for name in re.findall(NAME, expanded(named))
    }
    assert {family(name) for name in samples()} - shown == ON_NO_PANEL.keys()


def family(name: str) -> str:
    """The metric that a series belongs to: a histogram has three kinds of series."""
    histogram = re.sub(r"_(bucket|count|sum)$", "", name)
    return histogram if f"{histogram}_bucket" in samples() else name


def expanded(name: str) -> str:
    """The expression behind a recorded series, down to the worker's own metrics."""
    expression = name
    while recorded_names := set(re.findall(NAME, expression)) & recorded().keys():
        for each in recorded_names:
            expression = re.sub(rf"{each}\b", recorded()[each], expression)
    return expression


def test_panels_say_what_they_show() -> None:
    for name in DASHBOARDS:
        for panel in panels(name):
            where = f"{name}: {panel['title']}"
            assert panel["description"].endswith("."), where
            assert panel["datasource"]["uid"] == "${datasource}", where
            if panel["type"] == "heatmap":
                assert panel["options"]["yAxis"]["unit"], where
            elif panel["type"] != "table":
                assert panel["fieldConfig"]["defaults"]["unit"], where
            if panel["type"] in {"stat", "bargauge"}:
                assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], where


def test_panels_take_the_dashboards_interval_and_no_averages() -> None:
    for name in DASHBOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                windows = set(re.findall(r"\[([^\]]+)\]", target["expr"]))
                assert windows <= {"$__rate_interval", "$__range"}, panel["title"]
                assert "$__range" not in windows or target.get("instant"), panel["title"]
                assert not re.search(r"\bavg|_sum\b", target["expr"]), panel["title"]


def test_links_to_dashboards_stay() -> None:
    uids = {name: frame.uid for name, frame in DASHBOARDS.items()}
    assert uids == {
        "overview": "classify-overview",
        "pipeline": "classify-pipeline",
        "kafka": "classify-kafka",
        "model": "classify-model",
    }
    for name in DASHBOARDS:
        dashboard = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)
        chosen = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert {"datasource", "job", "group", "model", "instance"} <= chosen


def test_the_faults_are_the_failures_that_are_no_producers_and_no_hosts() -> None:
    faults = {
        reason.label
        for reason in Reason
        if reason.status >= 500 and reason.stage is not Stage.FETCH
    }
    assert OBJECTIVES.faults == f'reason=~"{"|".join(sorted(faults))}"'


def test_the_latency_objective_is_a_bucket() -> None:
    assert float(OBJECTIVES.bound) in LATENCY_BUCKETS
    assert OBJECTIVES.bound == str(float(OBJECTIVES.bound)), "as the exposition writes it"


def test_every_alert_has_an_entry_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(alerts())
    for name, alert in alerts().items():
        assert alert["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert alert["labels"]["severity"] in {"page", "ticket", "info"}


def test_every_alert_is_tested_with_what_fires_and_what_does_not() -> None:
    tested = [
        group["name"].partition(",")[0].split(": ")
        for path in sorted(Path(RULES.parent / "tests").glob("*.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["tests"]
    ]
    cases = {"positive", "negative", "first event", "counter reset"}
    assert {(alert, case) for alert, case in tested} == {
        (alert, case) for alert in alerts() for case in cases
    }
