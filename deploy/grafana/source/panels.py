"""The kinds of panels that the dashboards use, each with the options that all of its kind share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    bargauge,
    prometheus,
    timeseries,
)
from grafana_foundation_sdk.builders import (
    common as options,
)
from grafana_foundation_sdk.builders import (
    dashboard as parts,
)
from grafana_foundation_sdk.builders import (
    heatmap as heatmaps,
)
from grafana_foundation_sdk.builders import (
    stat as stats,
)
from grafana_foundation_sdk.builders import (
    table as tables,
)
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "GREEN",
    "ORANGE",
    "QUANTILE_COLORS",
    "RED",
    "YELLOW",
    "Query",
    "Steps",
    "bars",
    "fault_count",
    "graph",
    "heatmap",
    "number",
    "table",
]

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"
QUANTILE_COLORS = {"median": "light-blue", "95 %": "blue", "99 %": "purple"}

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: the value from which on a colour holds; None for the lowest."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        legend: name of its series; `{{label}}` stands for a label's value.
        exemplar: whether Grafana also asks for exemplars, which lead to traces.
    """

    expression: str
    legend: str = ""
    exemplar: bool = False


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    stacked: bool = False,
    steps: Steps = (),
    maximum: float | None = None,
    count: bool = False,
    colors: dict[str, str] | None = None,
) -> timeseries.Panel:
    """Make a graph over time.

    Args:
        stacked: whether the series are parts of a whole.
        steps: thresholds, drawn as dashed lines.
        count: whether it is mostly 0: the axis then ends at 1 and not at 100.
        colors: by the name of the series, for those whose meaning has a colour.

    Returns:
        The panel.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(25 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .line_interpolation(common.LineInterpolation.LINEAR)
        # A replica that is gone leaves a gap, but one missed scrape does not.
        .span_nulls(120_000)
        .tooltip(
            options.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .legend(
            options.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .thresholds(_thresholds(steps))
    )
    if steps:
        panel.thresholds_style(
            options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    if stacked:
        panel.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if maximum is not None:
        panel.max(maximum)
    if count:
        panel.axis_soft_max(1)
    for name, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel.override_by_name(name, [dashboard.DynamicConfigValue("color", fixed)])
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(_target(letter, query))
    return panel


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Steps = ((None, "text"),),
    decimals: int | None = None,
    latest: bool = False,
) -> stats.Panel:
    """Make a large number, the query's latest value.

    Args:
        latest: whether only that is asked for; otherwise its course is drawn behind it.

    Returns:
        The panel.
    """
    panel = (
        stats.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .no_value("no data")
        .reduce_options(_latest())
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE if latest else common.BigValueGraphMode.AREA)
        .text_mode(common.BigValueTextMode.AUTO)
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds(steps))
        .with_target(_target("A", query, instant=latest))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def fault_count(title: str, description: str, query: Query) -> stats.Panel:
    """Make the number of times that something happened which should not: red from the first.

    Returns:
        The panel.
    """
    return number(
        title,
        description,
        query,
        unit="short",
        decimals=0,
        steps=((None, GREEN), (1, RED)),
        latest=True,
    )


def bars(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Steps = ((None, "blue"),),
    maximum: float | None = None,
    decimals: int = 0,
) -> bargauge.Panel:
    """Make one horizontal bar for each series, its latest value.

    Returns:
        The panel.
    """
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .decimals(decimals)
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .text(options.VizTextDisplayOptions().title_size(13).value_size(16))
        .reduce_options(_latest())
        .thresholds(_thresholds(steps))
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .with_target(_target("A", query, instant=True))
    )
    if maximum is not None:
        panel.max(maximum)
    return panel


def heatmap(title: str, description: str, query: Query, *, unit: str) -> heatmaps.Panel:
    """Make a heat map of a histogram: time across, its buckets upwards.

    Returns:
        The panel.
    """
    return (
        heatmaps.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .calculate(False)
        .y_axis(heatmaps.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
        .rows_frame(heatmaps.RowsHeatmapOptions().layout(common.HeatmapCellLayout.AUTO))
        .color(
            heatmaps.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(heatmap_model.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .fill("dark-orange")
            .steps(64)
            .reverse(False)
        )
        .cell_gap(1)
        .filter_values(heatmaps.FilterValueRange().le(1e-9))
        .show_value(common.VisibilityMode.NEVER)
        .show_legend()
        .mode(common.TooltipDisplayMode.SINGLE)
        .show_y_histogram()
        .exemplars_color("rgba(255,0,255,0.7)")
        .with_target(_target("A", query, shape=PromQueryFormat.HEATMAP))
    )


def table(
    title: str,
    description: str,
    *queries: Query,
    columns: dict[str, str],
    numbers: dict[str, int] | None = None,
) -> tables.Panel:
    """Make a table with one row for each series; several queries are joined by their labels.

    Args:
        columns: what to show, in this order: the label or `Value #A` and its heading.
        numbers: the columns that hold numbers, which are narrow: digits after the point by heading.

    Returns:
        The panel.
    """
    panel = (
        tables.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .show_header(True)
        .cell_height(common.TableCellHeight.SM)
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": [*columns]}}
            )
        )
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "renameByName": columns,
                },
            )
        )
    )
    for heading, digits in (numbers or {}).items():
        look = {"decimals": digits, "custom.width": 90}
        panel.override_by_name(
            heading, [dashboard.DynamicConfigValue(name, value) for name, value in look.items()]
        )
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(_target(letter, query, instant=True, shape=PromQueryFormat.TABLE))
    return panel


def _target(
    letter: str,
    query: Query,
    *,
    instant: bool = False,
    shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .ref_id(letter)
        .datasource(SOURCE)
        .expr(query.expression)
        .format(shape)
        .legend_format(query.legend)
    )
    if query.exemplar:
        target.exemplar(True)
    return target.instant() if instant else target.range()


def _latest() -> options.ReduceDataOptions:
    return options.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _thresholds(steps: Steps) -> parts.ThresholdsConfig:
    return (
        parts.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in steps])
    )
