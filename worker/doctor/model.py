"""Whether the model is here and whole, or can be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from worker.cache import models_directory
from worker.doctor.findings import Finding, Status
from worker.drift.baseline import read_baseline
from worker.errors import ModelError, SettingsError
from worker.model import ModelSpec, load_model_spec
from worker.settings import Settings, ZooSettings
from worker.zoo.catalogue import ZooModel, addresses, catalogue
from worker.zoo.request import InterruptedTransferError, RefusedTransferError, get
from worker.zoo.resolve import resolve_model

__all__ = ["look_at_model"]

SUBJECT = "Model"
BASELINE = "Drift baseline"


def look_at_model(settings: Settings, timeout: float) -> Sequence[Finding]:
    """Check the model that the settings name; nothing is downloaded.

    Args:
        timeout: seconds for the host of the published models to answer.

    Returns:
        What was found, and what to do.
    """
    cache = settings.model_cache or models_directory()
    published = catalogue().get(settings.model)
    here = settings.model_dir or Path(settings.model)
    if published is not None and not here.is_dir() and not (cache / settings.model).is_dir():
        return [_look_for(published, settings.zoo, cache, timeout)]
    try:
        # It is here, or no published one, so that this call downloads nothing.
        directory = settings.model_dir or resolve_model(settings.model, cache, settings.zoo)
        spec = load_model_spec(directory)
    except ModelError as error:
        return [Finding(SUBJECT, Status.FAIL, "it cannot be used", str(error))]
    classes = f"{len(spec.labels)} labels" if spec.labels else "no labels"
    size = spec.params.stat().st_size / 2**20
    found = f"{spec.name} ({size:.1f} MiB, {classes}, {spec.digest[:19]}) in {spec.directory}"
    return [Finding(SUBJECT, Status.OK, found), *_look_at_baseline(settings.drift.baseline, spec)]


def _look_at_baseline(path: Path | None, spec: ModelSpec) -> Sequence[Finding]:
    """The drift baseline, if there is one: it has to be of this model."""
    if path is None:
        return []
    try:
        baseline = read_baseline(path)
    except SettingsError as error:
        return [Finding(BASELINE, Status.FAIL, "it cannot be used", str(error))]
    found = f"{path}, of {baseline.model} ({baseline.digest[:19]}) and {baseline.images} images"
    if baseline.digest == spec.digest:
        return [Finding(BASELINE, Status.OK, found)]
    remedy = (
        "answers are compared with nothing: call classify-worker evaluate --model "
        f"{spec.directory} --data DATA --baseline {path}"
    )
    return [Finding(BASELINE, Status.WARN, f"{found}: another model", remedy)]


def _look_for(model: ZooModel, zoo: ZooSettings, cache: Path, timeout: float) -> Finding:
    """A published model that is not in the cache."""
    missing = f"{model.name} is not in {cache}"
    base = zoo.base_url or addresses().archives
    if urlsplit(base).scheme not in ("http", "https"):
        archive = Path(base.removeprefix("file://")).expanduser() / model.archive
        if archive.is_file():
            return Finding(SUBJECT, Status.OK, f"{missing}; it is taken from {archive}")
        remedy = f"{archive} does not exist: put it there, or correct zoo.base_url"
        return Finding(SUBJECT, Status.FAIL, missing, remedy)
    if zoo.offline:
        remedy = f"zoo.offline forbids to download it: put its files into {cache / model.name}"
        return Finding(SUBJECT, Status.FAIL, missing, remedy)
    url = f"{base.rstrip('/')}/{model.archive}"
    try:
        with get(url, 0, None, timeout) as body:
            size = "" if body.total is None else f" ({body.total / 2**20:.0f} MiB)"
    except (InterruptedTransferError, RefusedTransferError) as error:
        remedy = (
            f"{error}: check the network, HTTPS_PROXY and zoo.base_url, or name a directory in "
            "model_dir"
        )
        return Finding(SUBJECT, Status.FAIL, missing, remedy)
    host = urlsplit(url).hostname
    return Finding(
        SUBJECT, Status.OK, f"{missing}; it is downloaded{size} from {host} at the start"
    )
