"""Which environment variables the worker's child processes get: no secrets.

They run native code on untrusted input, and need none. What they do need differs from machine to
machine (the toolkits of accelerators have dozens of variables), so the rest is handed on.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from worker.runtime.telemetry import WITHOUT_TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["child_environment"]

_SECRET_NAME = re.compile(
    r"WORKER_"  # settings, among them passwords; children do not read them
    r"|.*(PASSW|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|COOKIE|AUTH|SIGNATURE|SESSION"
    r"|(API|ACCESS|ACCOUNT|PRIVATE|ENCRYPTION|SIGNING|MASTER|SAS|SSH)_?KEY"
    r"|NETRC|CONNECTION_?STRING|DSN|JAAS|JWT|WEBHOOK|HEADERS)"
    r"|(.*_)?(PASS|KEY|PAT|SAS)$|.+_PWD$",  # not PWD itself, the directory
    re.IGNORECASE,
)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^/?#\s]*@")
"""As in DATABASE_URL or HTTPS_PROXY."""


def child_environment(environ: Mapping[str, str] | None = None, **added: str) -> dict[str, str]:
    """Make the environment for a child process.

    Left out are the worker's own settings (`WORKER_...`), what by its name is a secret, and values
    with a password inside an address. Libraries are told to send nothing to their makers, unless
    the environment says otherwise.

    Args:
        environ: the environment of this process when None.
        added: more variables for the child; they win over inherited ones.

    Returns:
        The variables of the child.
    """
    inherited = os.environ if environ is None else environ
    return (
        dict(WITHOUT_TELEMETRY)
        | {
            name: value
            for name, value in inherited.items()
            if not _SECRET_NAME.match(name) and not _PASSWORD_IN_ADDRESS.search(value)
        }
        | added
    )
