"""Tells people and programs what a run found."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.checker import Broken, Findings
from chaos.options import Options
from chaos.run import Run
from chaos.schedule import Kind

__all__ = ["as_json", "command_of", "show"]

_SHOWN = 5
"""Most examples of each kind of breach."""


def command_of(options: Options) -> str:
    """Write the command that repeats a run.

    Returns:
        It, with every argument that the schedule depends on.
    """
    chosen = options.kinds if set(options.kinds) != set(Kind) else ()
    kinds = "".join(f" --only {kind}" for kind in chosen)
    return (
        f"make chaos ARGS='--seed {options.seed} --jobs {options.jobs} --faults {options.faults} "
        f"--delivery {options.delivery}{' --ordered' if options.ordered else ''} "
        f"--workers {options.workers} --brokers {options.brokers}{kinds}'"
    )


def show(console: Console, options: Options, run: Run, findings: Findings) -> None:
    """Print faults, figures and what was found."""
    table = Table(
        "fault", "done", "no target", "what it does", title=f"Faults of seed {options.seed}"
    )
    for kind in options.kinds:
        meaning = kind.meaning + (f" ({run.cache})" if kind is Kind.CACHE_FULL else "")
        table.add_row(kind, str(run.counts[kind]), str(run.nothing[kind] or ""), meaning)
    console.print(table)
    for survivor in findings.survivors:
        console.print(f"Lived through it all: {survivor}", markup=False, highlight=False)
    for name, value in _figures(options, run, findings).items():
        console.print(f"{name:>12}  {value}", markup=False, highlight=False)
    grouped = Counter(breach.promise for breach in findings.breaches)
    for promise, count in grouped.items():
        console.print(f"{count} times: {promise}", style="red", markup=False)
        examples = [b.detail for b in findings.breaches if b.promise is promise]
        for detail in examples[:_SHOWN]:
            console.print(f"    {detail}", markup=False, highlight=False)
    if findings.breaches:
        console.print(f"Broken. It happens again with: {command_of(options)}", style="bold red")
    else:
        kept = "nothing lost, nothing doubled" if options.once else "nothing lost"
        console.print(f"Kept: {kept}.", style="bold green")


def _figures(options: Options, run: Run, findings: Findings) -> dict[str, object]:
    return {
        "seed": options.seed,
        "delivery": options.delivery.value,
        "jobs": findings.jobs,
        "answered": findings.answered,
        "failed": f"{findings.failed} (with an error result)",
        "doubled": f"{findings.doubled} (results beyond a job's first)",
        "removed": f"{findings.removed} (by a fault, without an outcome)",
        "unlucky": f"{findings.unlucky} (refused since faults ended their image process twice)",
        "commits": findings.commits,
        "faults": run.counts.total(),
        "unavailable": f"{run.unavailable} (workers that ended since they could not use Kafka)",
        "seconds": f"{run.seconds:.0f}",
        "broken": len(findings.breaches),
    }


def as_json(options: Options, run: Run, findings: Findings) -> dict[str, Any]:
    """Make the report for programs.

    Returns:
        What `json.dumps` takes.
    """
    return {
        "seed": options.seed,
        "delivery": options.delivery.value,
        "ordered": options.ordered,
        "workers": options.workers,
        "brokers": options.brokers,
        "seconds": round(run.seconds, 1),
        "jobs": findings.jobs,
        "answered": findings.answered,
        "failed": findings.failed,
        "doubled": findings.doubled,
        "removed": findings.removed,
        "unlucky": findings.unlucky,
        "commits": findings.commits,
        "survivors": [
            {
                "memory_before": survivor.memory[0],
                "memory_after": survivor.memory[1],
                "descriptors_before": survivor.descriptors[0],
                "descriptors_after": survivor.descriptors[1],
            }
            for survivor in findings.survivors
        ],
        "faults": dict(run.counts),
        "nothing_to_act_on": dict(run.nothing),
        "unavailable": run.unavailable,
        "cache": run.cache,
        "breaches": [
            {"promise": breach.promise.name.lower(), "detail": breach.detail}
            for breach in findings.breaches
        ],
        "command": command_of(options),
        "promises": [promise.value for promise in Broken],
    }
