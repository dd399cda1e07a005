"""All dashboards by the name of their file."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.source import kafka, model, overview, pipeline

__all__ = ["DASHBOARDS", "DIRECTORY"]

DASHBOARDS = {
    "overview": overview.DASHBOARD,
    "pipeline": pipeline.DASHBOARD,
    "kafka": kafka.DASHBOARD,
    "model": model.DASHBOARD,
}
DIRECTORY = Path(__file__).parents[1] / "dashboards"
