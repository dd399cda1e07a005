"""Settings from the environment: `WORKER_KAFKA__GROUP_ID=...`, or a file named by `..._FILE`.

An empty variable counts as unset, since that is what `${OPTION:-}` in a compose file leaves behind;
for a list it is the empty list.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from worker.settings.registry import ENV_PREFIX, Setting, describe
from worker.settings.sources.layer import Layer, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_environment"]

OTHER_VARIABLES = frozenset({"WORKER_FAILPOINTS"})
"""Variables with our prefix that are not settings."""

FILE_SUFFIX = "_FILE"
MAX_SECRET = 64 * 1024

# Kubernetes tells every container about the services of its namespace. One named `worker` or
# `worker-...` would look like unknown settings; the form of the values tells them apart.
_SERVICE_LINK = re.compile(
    r"WORKER_(\w+_)?("
    r"SERVICE_HOST=[0-9a-fA-F.:]+|SERVICE_PORT(_\w+)?=\d+|"
    r"PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://\S+|"
    r"PORT_\d+_(TCP|UDP|SCTP)_(PROTO=(tcp|udp|sctp)|PORT=\d+|ADDR=[0-9a-fA-F.:]+))"
)


def read_environment(environ: Mapping[str, str]) -> Layer:
    """Read the variables with our prefix; unknown ones are problems.

    Returns:
        The settings in them, and what is wrong with them.
    """
    layer = Layer()
    by_env = {setting.env: setting for setting in describe().values()}
    for name in sorted(environ):
        value = environ[name]
        # A setting whose own name ends so, as tls.ca_file does, is never another one's `_FILE`.
        if setting := by_env.get(name):
            if value or setting.many:
                layer.give(setting, value, f"env {name}")
        elif (setting := by_env.get(name.removesuffix(FILE_SUFFIX))) and value:
            if environ.get(setting.env):
                layer.object_to(f"{setting.env} and {name} are both set; unset one of them")
            else:
                _read_secret(layer, setting, name, Path(value))
        elif setting is None and not _is_foreign(name, value):
            known = nearest(name, by_env)
            layer.object_to(f"unknown variable {name}; the nearest known one is {known}")
    return layer


def _read_secret(layer: Layer, setting: Setting, name: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET + 1)
        text = content.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        layer.object_to(f"{name}: {path} cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        layer.object_to(f"{name}: {path} is not UTF-8 (byte {error.start})")
    else:
        if not text:
            layer.object_to(f"{name}: {path} is empty")
        elif len(content) > MAX_SECRET:
            layer.object_to(f"{name}: {path} is larger than {MAX_SECRET} bytes")
        else:
            layer.give(setting, text, f"secret file {path}")


def _is_foreign(name: str, value: str) -> bool:
    if not name.startswith(ENV_PREFIX) or name in OTHER_VARIABLES:
        return True
    return _SERVICE_LINK.fullmatch(f"{name}={value}") is not None
