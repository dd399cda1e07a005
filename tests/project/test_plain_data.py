"""What files and other processes say is data: nothing that reads it can run code.

ruff refuses the libraries that do (`banned-api` in pyproject.toml); this is what it cannot see.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SHIPPED = ("worker", "demo", "scripts", "benchmarks", "deploy", "examples")
ALLOWED = {"demo/torch_reader.py"}
"""It converts PyTorch's weights for the demo, and makes tensors alone of them."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for directory in SHIPPED:
        for path in sorted((ROOT / directory).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_bytes())


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import marshal",
        "import shelve",
        "from multiprocessing.connection import Connection",
        "from concurrent.futures import ProcessPoolExecutor",
        "import yaml\n\nyaml.unsafe_load('')",
        "import yaml\n\nyaml.load('', yaml.FullLoader)",
    ],
)
def test_the_linter_refuses_what_reads_code(line: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--select", "TID251", "--no-cache", "-"],
        cwd=ROOT,
        input=f"{line}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TID251" in done.stdout


def test_only_the_demo_is_excepted() -> None:
    excepted = {name for name, _ in sources() if "noqa: TID251" in (ROOT / name).read_text("utf-8")}
    assert excepted == ALLOWED


def test_arrays_are_read_without_pickles_and_yaml_by_loaders_that_are_named() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), name
                assert node.value.value is False, name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = f"{ast.unparse(node.func.value)}.{node.func.attr}"
                # eval and exec are ruff's S307 and S102.
                assert called != "torch.load", name
                if called in ("np.load", "numpy.load"):
                    assert "allow_pickle=False" in ast.unparse(node), name
                if called == "yaml.load":
                    assert "loader" in ast.unparse(node).lower(), name


def test_no_pickle_comes_in_by_another_name() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    assert argument.value not in ("pickle", "_pickle", "marshal"), name
            if isinstance(node, ast.Import):
                assert "_pickle" not in {alias.name for alias in node.names}, name
