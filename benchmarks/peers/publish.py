"""Puts the figures of `make bench-peers` into docs/performance.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.peers.comparison import FIGURES, RATIOS, figure_rows, ratio_rows
from worker.bench.measurement import Measurement

__all__ = ["as_markdown", "replace_figures"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MARKED = re.compile(r"(?<=<!-- peers -->\n).*(?=<!-- end of peers -->)", re.DOTALL)


def main(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="What `make bench-peers` wrote.")
    ] = None,
) -> None:
    """Write the tables between the document's markers."""
    written = [
        json.loads(path.read_text("utf-8")) for path in runs or [Path("out/bench-peers.json")]
    ]
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(replace_figures(text, as_markdown(written)), "utf-8")


def as_markdown(runs: Sequence[dict[str, Any]]) -> str:
    """Write runs as tables.

    Args:
        runs: documents, as `worker.bench.measurement.document` makes them.

    Returns:
        The ratios, the figures and the machine.
    """
    measured = [Measurement.from_json(each) for run in runs for each in run["measurements"]]
    loads = " and ".join(
        ", ".join(str(load) for load in run["machine"]["load_average"]) for run in runs
    )
    machine = runs[0]["machine"]
    where = (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; "
        f"load averages at the end (1, 5 and 15 minutes): {loads}."
    )
    ratios, figures = ratio_rows(measured), figure_rows(measured)
    return "\n\n".join((where, _table(RATIOS, ratios), _table(FIGURES, figures)))


def replace_figures(text: str, figures: str) -> str:
    """Put figures between the markers of a document.

    Returns:
        The document.

    Raises:
        ValueError: it has no markers, or several.
    """
    replaced, count = MARKED.subn(lambda _: f"\n{figures}\n\n", text)
    if count != 1:
        raise ValueError("the document has to have <!-- peers --> and <!-- end of peers --> once")
    return replaced


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    typer.run(main)
