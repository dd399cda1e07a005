"""What all dashboards share: variables, links to each other, annotations, and the layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as parts
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana.source.panels import SOURCE
from deploy.grafana.source.promql import REPLICAS

__all__ = ["Frame", "Place", "Row", "Variable"]

TAG = "classify-worker"
WIDTH = 24

MODEL_CHANGES = (
    f"count by (name, digest) (classify_model_info{{{REPLICAS}}})"
    f" unless count by (name, digest) (classify_model_info{{{REPLICAS}}} offset 1m)"
)
VERSION_CHANGES = (
    f"count by (version) (classify_build_info{{{REPLICAS}}})"
    f" unless count by (version) (classify_build_info{{{REPLICAS}}} offset 1m)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A panel, and the room that it takes on the grid of 24 columns."""

    panel: Builder[dashboard.Panel]
    width: int
    height: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A headed part of a dashboard."""

    title: str
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, with all values chosen at first.

    Attributes:
        query: Grafana's query of values, by label_values() or query_result().
        regex: takes the value out of what query_result() answers.
        everything: what stands for all values; empty for their list.
    """

    name: str
    label: str
    query: str
    regex: str = ""
    everything: str = ".*"


COMMON = (
    Variable("job", "Job", "label_values(classify_build_info, job)"),
    Variable("group", "Group", 'label_values(classify_worker_info{job=~"$job"}, group)'),
    Variable("model", "Model", 'label_values(classify_model_info{job=~"$job"}, name)'),
    Variable(
        "instance",
        "Replica",
        "query_result(group by (instance) ("
        'last_over_time(classify_worker_info{job=~"$job", group=~"$group"}[$__range])'
        " and on (job, instance) "
        'last_over_time(classify_model_info{job=~"$job", name=~"$model"}[$__range])))',
        '/instance="([^"]+)"/',
        everything="",
    ),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One dashboard.

    Attributes:
        uid: names it in links and must never change.
        variables: those beside data source, job, group, model and replica.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    def render(self) -> str:
        """Write the dashboard as Grafana imports it.

        Returns:
            JSON text, the same for the same definition.
        """
        content = self._build()
        for number, panel in enumerate(content["panels"], start=1):
            panel["id"] = number
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def _build(self) -> dict[str, Any]:
        built = (
            parts.Dashboard(f"Classify worker / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .timezone("browser")
            .refresh("30s")
            .time("now-1h", "now")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .editable()
            .link(
                parts.DashboardLink("Classify worker")
                .type(dashboard.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .icon("external link")
                .include_vars(True)
                .keep_time(True)
            )
            .with_variable(
                parts.DatasourceVariable("datasource").label("Data source").type("prometheus")
            )
        )
        for variable in (*COMMON, *self.variables):
            built.with_variable(_choice(variable))
        for row in self.rows:
            built.with_row(parts.Row(row.title))
            for place in _checked(row):
                built.with_panel(place)
        content: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
        content["annotations"] = {
            "list": [
                _annotation("Model", MODEL_CHANGES, "purple", "{{name}} {{digest}}"),
                _annotation("Version", VERSION_CHANGES, "blue", "version {{version}}"),
            ]
        }
        return content


def _choice(variable: Variable) -> parts.QueryVariable:
    choice = (
        parts.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"qryType": 5, "query": variable.query, "refId": variable.name})
        .regex(variable.regex)
        # Replicas come and go, so the choice is made anew whenever the time range moves on.
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )
    return choice.all_value(variable.everything) if variable.everything else choice


def _checked(row: Row) -> list[Builder[dashboard.Panel]]:
    """Give the panels their sizes; they must fill the grid's lines, or they would overlap."""
    filled = 0
    for place in row.places:
        filled += place.width
        if filled > WIDTH:
            raise ValueError(f"row {row.title}: a line is {filled} of {WIDTH} columns wide")
        filled %= WIDTH
    if filled:
        raise ValueError(f"row {row.title}: the last line is {filled} of {WIDTH} columns wide")
    return [_sized(place) for place in row.places]


def _sized(place: Place) -> Builder[dashboard.Panel]:
    return place.panel.span(place.width).height(place.height)  # type: ignore[attr-defined, no-any-return]


def _annotation(name: str, expression: str, color: str, title: str) -> dict[str, Any]:
    """Mark when a query begins to have a result; the SDK's builder lacks most of these options."""
    return {
        "name": name,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expression,
        "step": "60s",
        "titleFormat": title,
        "textFormat": title,
        "tagKeys": "",
        "useValueForTime": False,
    }
