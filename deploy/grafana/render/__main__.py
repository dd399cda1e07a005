"""`python -m deploy.grafana.render` draws the dashboards with Grafana's own panel components.

Grafana's server is not run: this asks a real Prometheus what the dashboards' JSON asks, and has
`@grafana/ui` draw the answers in Chromium. `make dashboards-picture` says how to call it.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import math
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.grafana.source.dashboards import DASHBOARDS, DIRECTORY

HERE = Path(__file__).parent
WIDTH = 1624
UNIT = 38
"""Pixels of one line of the grid, and of the gap below it, as in page.jsx."""

HEADER = 64

LOADERS = ("png", "svg", "ttf", "woff", "woff2")


def main() -> None:
    """Draw the dashboards that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.render", description=__doc__)
    parser.add_argument("dashboards", nargs="*", default=[*DASHBOARDS])
    parser.add_argument("--prometheus", default="localhost:9090", help="HOST:PORT")
    parser.add_argument("--minutes", type=float, default=30, help="length of the time range")
    parser.add_argument("--end", type=int, help="its end, seconds since the epoch; now if unset")
    parser.add_argument("--rate-interval", default="1m", help="at least four scrape intervals")
    parser.add_argument("--out", type=Path, default=Path("out/dashboards"))
    arguments = parser.parse_args()
    end = arguments.end or math.floor(time.time())
    start = end - round(arguments.minutes * 60)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        served = Path(directory)
        _bundle(served)
        with _serve(served) as address:
            for name in arguments.dashboards:
                dashboard = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
                data = _ask(dashboard, arguments.prometheus, start, end, arguments.rate_interval)
                page = {"dashboard": dashboard, "data": data}
                (served / "data.json").write_text(json.dumps(page), "utf-8")
                lines = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
                picture = arguments.out / f"{name}.png"
                _photograph(f"http://{address}/index.html", picture, HEADER + lines * UNIT)
                print(picture)  # noqa: T201 - what the command is for


def _bundle(target: Path) -> None:
    """Install what package-lock.json names, by its hashes, and make one script of it."""
    if not (HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, check=True)  # noqa: S607
    loaders = [f"--loader:.{suffix}=dataurl" for suffix in LOADERS]
    subprocess.run(  # noqa: S603 - what the lock has installed
        [
            str(HERE / "node_modules" / ".bin" / "esbuild"),
            str(HERE / "page.jsx"),
            "--bundle",
            "--minify",
            "--format=iife",
            "--jsx=automatic",
            "--log-level=error",
            '--define:process.env.NODE_ENV="production"',
            f"--outfile={target / 'page.js'}",
            *loaders,
        ],
        check=True,
    )
    shutil.copy(HERE / "index.html", target)


def _ask(
    dashboard: dict[str, Any], address: str, start: int, end: int, rate_interval: str
) -> dict[str, Any]:
    """Ask what every panel asks.

    Returns:
        Prometheus' results by the panel's number and the query's letter.
    """
    step = max(1, (end - start) // 240)
    answers: dict[int, dict[str, Any]] = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", rate_interval)
            query = re.sub(r"\$[a-z]\w*", ".*", query.replace("$__range", f"{end - start}s"))
            asked = {"query": query, "time": end}
            path = "query"
            if not target.get("instant"):
                asked = {"query": query, "start": start, "end": end, "step": step}
                path = "query_range"
            url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
            with urllib.request.urlopen(url, timeout=60) as response:
                result = json.load(response)["data"]["result"]
            answers.setdefault(panel["id"], {})[target["refId"]] = result
    return {"start": start, "end": end, "step": step, "answers": answers}


@contextmanager
def _serve(directory: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: Chromium asks for icons that are not there."""


def _photograph(url: str, picture: Path, height: int) -> None:
    flags: Sequence[str] = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--hide-scrollbars",
        "--no-first-run",
        "--no-proxy-server",
        # Time runs as quickly as the page allows, until it has been drawn.
        "--virtual-time-budget=20000",
        f"--window-size={WIDTH},{height}",
        f"--screenshot={picture.absolute()}",
    )
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603
            ["chromium", *flags, f"--user-data-dir={profile}", url],  # noqa: S607
            check=True,
            capture_output=True,
            timeout=180,
        )


if __name__ == "__main__":
    main()
