"""Keeps libraries from telling their makers that, and how, they are used.

ONNX Runtime's packages send events to Microsoft, and OpenVINO's send events to Google Analytics for
Intel, unless told otherwise. Both leave an identifier of the machine in the user's home. A worker
opens no connection that its settings do not name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["WITHOUT_TELEMETRY", "import_openvino"]

WITHOUT_TELEMETRY: Mapping[str, str] = MappingProxyType({"ORT_DISABLE_TELEMETRY": "1"})
"""Environment variables that turn it off where a library has one: ONNX Runtime's `Privacy.md`."""

_OPENVINO_REPORTER = "openvino_telemetry"


def import_openvino() -> Any:  # noqa: ANN401 - the package is optional
    """Import OpenVINO without the package that reports its use.

    That package has no variable to turn it off, only a file in the home. Where it cannot be
    imported, OpenVINO takes its own stub, which sends nothing.

    Returns:
        The module `openvino`.

    Raises:
        ImportError: it is not installed.
    """
    sys.modules.setdefault(_OPENVINO_REPORTER, None)  # type: ignore[arg-type] # None: no such module
    return importlib.import_module("openvino")
