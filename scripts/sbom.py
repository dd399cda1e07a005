"""Writes what the locked environment consists of, as CycloneDX 1.6: `sbom.py LOCK FILE`.

Packages, versions and hashes are those of the lock, so that the list holds for every machine that
installs it. `make sbom` runs it where `cyclonedx-bom` is installed. What is in the container image,
Debian's packages too, `make image` lists (docs/image.md).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "worker" / "__init__.py").read_text("utf-8"))


def components(lock: Path) -> dict[str, Any]:
    """List a lock's packages.

    Returns:
        CycloneDX's document, as `cyclonedx-py` makes it.
    """
    options = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--no-validate")
    done = subprocess.run(  # noqa: S603 - of this environment, with a path of ours
        [Path(sys.executable).with_name("cyclonedx-py"), "requirements", *options, lock],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add what a lock does not say: our version, and that we need all of it.

    Returns:
        The document.
    """
    root = document["metadata"]["component"]
    assert VERSION is not None, "worker/__init__.py has the version"
    root["version"] = VERSION[1]
    for component in document["components"]:
        # The lock's lines once more, all hashes included.
        component.pop("description", None)
    needed = sorted(component["bom-ref"] for component in document["components"])
    others = [each for each in document["dependencies"] if each["ref"] != root["bom-ref"]]
    document["dependencies"] = [{"ref": root["bom-ref"], "dependsOn": needed}, *others]
    return document


def main() -> int:
    """Write the list, checked against CycloneDX's schema.

    Returns:
        0, or 1 if it is not what the schema allows.
    """
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - of the environment for audits
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    lock, target = map(Path, sys.argv[1:3])
    text = json.dumps(completed(components(lock)), indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        sys.stderr.write(f"what was made of {lock} is no CycloneDX 1.6: {wrong}\n")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    sys.stdout.write(f"{target}: {len(json.loads(text)['components'])} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
