"""`make audit` against a saved database, by OSV's rules; what cannot be said is never "clean"."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


def affected(name: str = "some-package", **fields: Any) -> dict[str, Any]:
    return {"package": {"ecosystem": "PyPI", "name": name}, **fields}


def between(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return affected(ranges=[{"type": kind, "events": list(events)}])


FIXED = ({"introduced": "0"}, {"fixed": "1.10"})


@pytest.mark.parametrize(
    ("version", "record", "expected"),
    [
        ("1.9", between(*FIXED), True),
        ("1.10", between(*FIXED), False),
        ("1.10rc1", between(*FIXED), True),
        ("1.9", between(*reversed(FIXED)), True),
        ("1.9", between(*FIXED, kind="GIT"), False),
        ("2.0", between({"introduced": "0"}, {"last_affected": "2.0"}), True),
        ("2.0.1", between({"introduced": "0"}, {"last_affected": "2.0"}), False),
        ("2.5", between(*FIXED, {"introduced": "2.0"}, {"fixed": "2.6"}), True),
        ("1.11", between(*FIXED, {"introduced": "2.0"}, {"fixed": "2.6"}), False),
        ("3.0", affected(versions=["3.0"]), True),
        ("3.0", affected(versions=["3.0.1"]), False),
        ("3.0", affected("Some_Package", versions=["3.0"]), True),
        ("3.0", affected("another", versions=["3.0"]), False),
        ("1.0", between({"introduced": "0"}, {"fixed": "no version"}), True),
        ("0.0.dev1", between(*FIXED), True),
        ("1.4", between({"introduced": "0"}, {"limit": "1.5"}), True),
        ("1.5", between({"introduced": "0"}, {"limit": "1.5"}), False),
        ("1.5", between({"introduced": "0"}, {"limit": "*"}), True),
        ("2.0", affected(versions=["1.0-final-2", "2.0.0"]), True),
        ("1.0", affected(versions=None, ranges=None), False),
    ],
)
def test_a_version_is_affected_by_the_rules_of_osv(
    audit: ModuleType, version: str, record: dict[str, Any], *, expected: bool
) -> None:
    assert audit.is_affected(("some-package", version), record) is expected


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text(
        "# made\nSome.Package==1.9 \\\n    --hash=sha256:00\n"
        "other==2.0 ; python_version < '3.13' \\\n    --hash=sha256:00\n    # via some-package\n"
    )
    return path


def saved(path: Path, *records: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    return path


def test_what_is_known_is_listed(
    audit: ModuleType, lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = saved(
        tmp_path / "all.zip",
        {"id": "PYSEC-1", "summary": "It leaks", "affected": [between(*FIXED)]},
        {"id": "PYSEC-2", "withdrawn": "2026-01-01T00:00:00Z", "affected": [between(*FIXED)]},
        {"id": "PYSEC-3", "affected": [affected("other", versions=["1.0"])]},
    )
    assert audit.main(["--database", str(database), str(lock)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "some-package 1.9: PYSEC-1 It leaks",
        "2 packages audited, 1 vulnerabilities known",
    ]


EXPORTED = {
    "id": "PYSEC-0000-1",
    "details": "some-package before 1.10\nreads beyond   its input.",
    "aliases": ["CVE-0000-1", "GHSA-aaaa-bbbb-cccc"],
    "modified": "2026-01-02T03:04:05.123456Z",
    "published": "2026-01-01T00:00:00Z",
    "references": [{"type": "ADVISORY", "url": "https://example.org/1"}],
    "affected": [
        {
            "package": {
                "name": "some-package",
                "ecosystem": "PyPI",
                "purl": "pkg:pypi/some-package",
            },
            "ranges": [
                {
                    "type": "GIT",
                    "repo": "https://example.org/some-package",
                    "events": [{"introduced": "0"}, {"fixed": "0123456789abcdef"}],
                },
                {"type": "ECOSYSTEM", "events": [{"introduced": "1.2"}, {"fixed": "1.10"}]},
            ],
            "versions": ["1.2", "1.8", "1.9"],
            "database_specific": {"source": "https://example.org/PYSEC-0000-1.yaml"},
        },
        # A repository, as records of several ecosystems name it too.
        {"ranges": [{"type": "GIT", "repo": "https://example.org/x", "events": []}]},
    ],
    "schema_version": "1.7.3",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
}
"""A record in the shape of those that osv.dev exports for PyPI, with made-up contents."""


def test_a_record_as_it_is_exported_is_understood(
    audit: ModuleType, lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_npm = {"package": {"ecosystem": "npm", "name": "other", "purl": "pkg:npm/other"}}
    advisory = EXPORTED | {
        "id": "GHSA-dddd-eeee-ffff",
        "summary": "Other is slow",
        "affected": [
            of_npm | {"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]},
            {
                "package": {"ecosystem": "PyPI", "name": "Other", "purl": "pkg:pypi/other"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "2.0"}]}
                ],
                "database_specific": {"last_known_affected_version_range": "<= 2.0"},
            },
        ],
    }
    malicious = EXPORTED | {"id": "MAL-0000-1", "withdrawn": "2026-02-01T00:00:00Z"}
    git_alone = {"id": "OSV-0000-1", "affected": None}
    database = saved(tmp_path / "all.zip", EXPORTED, advisory, malicious, git_alone)
    assert audit.main(["--database", str(database), str(lock)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "other 2.0: GHSA-dddd-eeee-ffff Other is slow",
        "some-package 1.9: PYSEC-0000-1 some-package before 1.10 reads beyond its input.",
        "2 packages audited, 2 vulnerabilities known",
    ]


def test_nothing_known_is_clean(audit: ModuleType, lock: Path, tmp_path: Path) -> None:
    database = saved(tmp_path / "all.zip", {"id": "P", "affected": [affected(versions=["0.1"])]})
    assert audit.main(["--database", str(database), str(lock)]) == 0


def test_a_database_that_knows_nothing_says_nothing(
    audit: ModuleType, lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = {"id": "N", "affected": [{"package": {"ecosystem": "npm", "name": "other"}}]}
    (tmp_path / "text").write_text("no zip")
    for database in (saved(tmp_path / "npm.zip", npm), tmp_path / "text", tmp_path / "none"):
        assert audit.main(["--database", str(database), str(lock)]) == 3
        assert "2 packages cannot be audited" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [
        '{"dependencies": [{"name": "other", "skip_reason": "not found on PyPI"}], "fixes": []}',
        "",
    ],
)
def test_a_service_that_does_not_answer_is_not_taken_for_clean(
    audit: ModuleType,
    lock: Path,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In place of pip-audit, which has an environment of its own; it exits with 0 in both cases.
    (tmp_path / "pip_audit.py").write_text(f"print({answer!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert audit.main([str(lock)]) == 3
    assert "DATABASE=all.zip" in capsys.readouterr().err
