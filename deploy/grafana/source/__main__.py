"""`python -m deploy.grafana.source` writes the dashboards (`make dashboards`)."""

from __future__ import annotations

from deploy.grafana.source.dashboards import DASHBOARDS, DIRECTORY

if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, frame in DASHBOARDS.items():
        (DIRECTORY / f"{name}.json").write_text(frame.render(), "utf-8")
