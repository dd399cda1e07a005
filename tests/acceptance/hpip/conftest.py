"""These tests need the extra `hpip`, which is not to be had everywhere.

paddle2onnx has no packages for Python 3.13 yet; there, and where the extra is not installed, they
are not collected.
"""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("paddle2onnx", "onnxruntime", "openvino")

collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]
