"""Re-makes demo/jars.lock: resolves Kafka's dependencies and hashes the jars."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from demo.jars import user_maven
from worker.cache import sha256_of

ENDPOINTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
TARGET = Path(__file__).parent.parent / "demo/jars.lock"


def main() -> int:
    """Writes the lock file; the order of its lines is the class path's."""
    with tempfile.TemporaryDirectory() as downloads:
        maven = user_maven(Path(downloads))
        inputs, transitive = maven.resolver.resolve(
            [maven.create_dependency(endpoint) for endpoint in ENDPOINTS]
        )
        lines = [
            f"{d.groupId}:{d.artifactId}:{d.version} {sha256_of(d.artifact.resolve())}"
            for d in [*inputs, *transitive]
        ]
    header = f"# The jars of {' and '.join(ENDPOINTS)}, made by `make lock`."
    TARGET.write_text("\n".join([header, *lines, ""]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
