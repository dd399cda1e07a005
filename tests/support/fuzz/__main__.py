"""`make fuzz`: all targets, or one, for a while, on all processors; and one input once more.

Each target runs under atheris (libFuzzer), which keeps inputs that reach new code. What it finds is
in `out/fuzz`: `corpus/TARGET` has the new inputs, `crashes/TARGET-*` those that broke something.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.fuzz.target import CORPUS, Target
from tests.support.fuzz.targets import TARGETS
from tests.support.paths import ROOT

OUT = ROOT / "out/fuzz"
MOST_RSS = 4096  # MiB; of which the libraries take some hundred
LONGEST = 30  # seconds that one input may take
NO_ATHERIS = (
    "atheris has wheels for Linux on x86-64 alone, and is not installed here. Without it the "
    "targets run in make test (make test ARGS=tests/fuzz), with inputs made up by hypothesis."
)


@dataclass(frozen=True, slots=True)
class Report:
    """What one target's run came to.

    Attributes:
        executions: how often it ran.
        coverage: edges of code reached.
        added: inputs kept since they reach something new.
        crashes: inputs that broke something.
        failed: the end of the process' output if it ended for any other reason.
    """

    target: str
    executions: int
    coverage: int
    added: int
    crashes: tuple[Path, ...]
    failed: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.input is not None:
        TARGETS[options.target].check(options.input.read_bytes())
        print(f"{options.target}: {options.input} is harmless")  # noqa: T201
        return 0
    try:
        import atheris  # noqa: F401, PLC0415 - only where it is needed: not all platforms have it
    except ImportError:
        print(NO_ATHERIS, file=sys.stderr)  # noqa: T201
        return 2
    chosen = [TARGETS[options.target]] if options.target else list(TARGETS.values())
    jobs = min(options.jobs, len(chosen))
    seconds = max(1, options.seconds * jobs // len(chosen))
    reports = []
    with ThreadPoolExecutor(jobs) as pool:
        for report in pool.map(lambda each: _run(each, seconds), chosen):
            reports.append(report)
            _show(report)
    total = sum(report.executions for report in reports)
    crashes = sum(len(report.crashes) for report in reports)
    print(f"{total} executions, {crashes} crashes")  # noqa: T201
    return int(any(report.crashes or report.failed for report in reports))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--input", type=Path, help="a file to run the target with, once")
    options = parser.parse_args(arguments)
    if options.input is not None and options.target is None:
        parser.error("an input needs its target")
    return options


def _run(target: Target, seconds: int) -> Report:
    corpus, crashes = OUT / "corpus" / target.name, OUT / "crashes"
    for directory in (corpus, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(
        [
            sys.executable,
            *("-m", "tests.support.fuzz.guided", target.name),
            f"-max_total_time={seconds}",
            f"-max_len={target.longest}",
            f"-rss_limit_mb={MOST_RSS}",
            f"-timeout={LONGEST}",
            f"-artifact_prefix={crashes}/{target.name}-",
            "-print_final_stats=1",
            *(str(corpus), str(CORPUS / target.name)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    (OUT / f"{target.name}.log").write_bytes(ended.stdout)
    text = ended.stdout.decode("utf-8", "replace")
    found = tuple(map(Path, re.findall(r"Test unit written to (\S+)", text)))
    return Report(
        target.name,
        _last(r"stat::number_of_executed_units: +(\d+)", text),
        _last(r"cov: (\d+)", text),
        _last(r"stat::new_units_added: +(\d+)", text),
        found,
        text[-2000:] if ended.returncode and not found else "",
    )


def _last(pattern: str, text: str) -> int:
    return int((re.findall(pattern, text) or ["0"])[-1])


def _show(report: Report) -> None:
    print(  # noqa: T201
        f"{report.target:<15}{report.executions:>12} executions{report.coverage:>8} edges"
        f"{report.added:>7} new inputs{len(report.crashes):>4} crashes",
        flush=True,
    )
    for path in report.crashes:
        print(f"  again: make fuzz TARGET={report.target} INPUT={path}")  # noqa: T201
    if report.failed:
        print(report.failed)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
