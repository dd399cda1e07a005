"""Looks for known vulnerabilities in the locked packages: `audit.py [--database FILE] LOCK ...`.

With a network pip-audit asks PyPI. Without one a database answers that was saved before: a zip file
of records in OSV's format, such as https://osv.dev exports for PyPI (`PyPI/all.zip` in its bucket),
brought from a machine that has a network. `make audit` and `make audit DATABASE=all.zip` run it.

Exit codes: 0, nothing is known against any package; 1, something is, and is listed; 3, it cannot be
said of all packages, which is never taken for the first.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3

ACCEPTED: Mapping[str, str] = {}
"""Vulnerabilities that cannot be reached from here: by id, each with the reason."""

TIMEOUT = 15
"""Seconds for each answer of PyPI."""

BOUND = 900
"""Seconds for all of them."""

Package = tuple[str, str]


class CannotSayError(Exception):
    """Nothing can be said of some packages; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability of a locked package."""

    package: Package
    id: str
    summary: str


def locked(lock: Path) -> set[Package]:
    """Read the packages of a lock, those for other systems and versions of Python too.

    Returns:
        Names, normalised, and versions.
    """
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE)
    return {(canonicalize_name(name), version) for name, version in found}


def audited_online(locks: Sequence[Path]) -> list[Finding]:
    """Have pip-audit ask PyPI.

    Returns:
        What is known.

    Raises:
        CannotSayError: it was not answered about all packages.
    """
    findings: dict[tuple[Package, str], Finding] = {}
    for lock in locks:
        for entry in _asked(lock):
            package = (canonicalize_name(entry["name"]), entry.get("version", ""))
            if "skip_reason" in entry:
                # pip-audit calls that "no known vulnerabilities", and exits with 0.
                raise CannotSayError(f"PyPI does not answer: {entry['skip_reason']}")
            for known in entry["vulns"]:
                summary = " ".join(known.get("description", "").split())[:100]
                findings[package, known["id"]] = Finding(package, known["id"], summary)
    return list(findings.values())


def _asked(lock: Path) -> list[dict[str, Any]]:
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    try:
        done = subprocess.run(  # noqa: S603 - of this environment, with a path of ours
            [
                *(sys.executable, "-m", "pip_audit", *options),
                *("--timeout", str(TIMEOUT), "--requirement", str(lock)),
            ],
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotSayError(f"PyPI does not answer within {BOUND} s") from error
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise CannotSayError(f"pip-audit cannot ask PyPI: {last[:300]}") from error
    return entries


def audited_offline(locks: Sequence[Path], database: Path) -> list[Finding]:
    """Look the packages up in a saved database.

    Returns:
        What is known.

    Raises:
        CannotSayError: it cannot be read, or has no record of PyPI.
    """
    packages = set[Package]().union(*map(locked, locks))
    findings, records = [], 0
    for record in _records(database):
        affected = [each for each in record.get("affected") or () if _is_of_pypi(each)]
        records += bool(affected)
        if record.get("withdrawn"):
            continue
        findings += [
            Finding(package, record["id"], _summary(record))
            for package in packages
            if any(is_affected(package, each) for each in affected)
        ]
    if not records:
        raise CannotSayError(f"{database} has no records of PyPI's packages")
    return findings


def _records(database: Path) -> Iterator[dict[str, Any]]:
    try:
        with zipfile.ZipFile(database) as archive:
            for name in archive.namelist():
                record = json.loads(archive.read(name)) if name.endswith(".json") else None
                if isinstance(record, dict):
                    yield record
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise CannotSayError(f"{database} cannot be read: {error}") from error


def _summary(record: Mapping[str, Any]) -> str:
    # PyPI's own records (PYSEC) have details alone.
    return " ".join((record.get("summary") or record.get("details") or "").split())[:100]


def _is_of_pypi(affected: Mapping[str, Any]) -> bool:
    return bool(affected.get("package", {}).get("ecosystem") == "PyPI")


def is_affected(package: Package, affected: Mapping[str, Any]) -> bool:
    """Decide by OSV's rules (https://ossf.github.io/osv-schema, "evaluation algorithm").

    Args:
        affected: an element of a record's `affected`.

    Returns:
        Whether it is about this version of the package.
    """
    name, version = package
    if canonicalize_name(affected["package"]["name"]) != name:
        return False
    locked = Version(version)
    if any(_is_same(locked, each) for each in affected.get("versions") or ()):
        return True
    kinds = ("ECOSYSTEM", "SEMVER")
    ranges = (each for each in affected.get("ranges") or () if each.get("type") in kinds)
    return any(_within(locked, each["events"]) for each in ranges)


def _is_same(version: Version, text: str) -> bool:
    try:
        return version == Version(text)
    except InvalidVersion:
        return False  # a version of before PEP 440, which no lock has


def _within(version: Version, events: Sequence[Mapping[str, str]]) -> bool:
    if any(each.get("limit") == "*" for each in events):
        limits = []
    else:
        limits = [at for kind, at in _bounds(events) if kind == "limit"]
    if limits and version >= max(limits):
        return False
    within = False
    for kind, at in sorted(_bounds(events), key=lambda event: event[1]):
        if kind == "introduced" and version >= at:
            within = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            within = False
    return within


def _bounds(events: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, Version]]:
    for event in events:
        for kind, at in event.items():
            try:
                # 0 stands for what is before all versions.
                yield kind, Version("0.dev0" if kind == "introduced" and at == "0" else at)
            except InvalidVersion:
                # A bound that PyPI has no version for: the one before it counts.
                continue


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, and print what was found.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="Known vulnerabilities of locked packages.")
    parser.add_argument("--database", type=Path, metavar="FILE", help="zip of OSV's records")
    parser.add_argument("locks", type=Path, nargs="+", metavar="LOCK")
    given = parser.parse_args(arguments)
    count = len(set[Package]().union(*map(locked, given.locks)))
    try:
        if given.database is None:
            findings = audited_online(given.locks)
        else:
            findings = audited_offline(given.locks, given.database)
    except CannotSayError as error:
        sys.stderr.write(
            f"{count} packages cannot be audited: {error}.\n"
            "Where there is no network: make audit DATABASE=all.zip, with OSV's export for PyPI.\n"
        )
        return UNKNOWN
    open_ones = [each for each in findings if each.id not in ACCEPTED]
    for finding in sorted(open_ones, key=lambda each: (each.package, each.id)):
        name, version = finding.package
        sys.stdout.write(f"{name} {version}: {finding.id} {finding.summary}\n")
    sys.stdout.write(f"{count} packages audited, {len(open_ones)} vulnerabilities known\n")
    return VULNERABLE if open_ones else CLEAN


if __name__ == "__main__":
    sys.exit(main())
