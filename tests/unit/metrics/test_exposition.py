"""The formats in which metrics are written."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from worker.metrics import Metrics
from worker.metrics.exemplars import exemplar
from worker.metrics.exposition import Exposition, expose

OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2.42 asks for."""

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    made.latency.observe(0.17, exemplar(f"00-{TRACE}-b7ad6b7169203331-01"))
    made.latency.observe(7.0, exemplar(None))
    made.model.info({"name": 'a "name"\nof two lines', "digest": "sha256:0"})
    return made


def written(metrics: Metrics, accept: str = "") -> Exposition:
    return expose(metrics.collect(), accept)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/plain", "text/html", "application/openmetrics-text;version=nonsense"],
)
def test_text_is_the_default(metrics: Metrics, accept: str) -> None:
    found = written(metrics, accept)
    assert found.headers["Content-Type"].startswith("text/plain; version=")
    assert "Content-Encoding" not in found.headers
    families = {one.name: one for one in text_string_to_metric_families(found.body.decode())}
    assert families["classify_latency_seconds"].type == "histogram"
    assert TRACE.encode() not in found.body


def test_openmetrics_has_exemplars_and_is_what_its_own_strict_parser_takes(
    metrics: Metrics,
) -> None:
    found = written(metrics, OPENMETRICS)
    assert found.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = openmetrics.text_string_to_metric_families(found.body.decode())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    assert families["classify_jobs"].type == "counter"
    exemplars = {
        sample.labels["le"]: sample.exemplar
        for sample in families["classify_latency_seconds"].samples
        if sample.exemplar is not None
    }
    assert exemplars.keys() == {"0.2"}
    assert exemplars["0.2"].labels == {"trace_id": TRACE}
    assert exemplars["0.2"].value == 0.17


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_nothing_says_when_a_series_began(metrics: Metrics, accept: str) -> None:
    assert b"_created" not in written(metrics, accept).body


def test_it_is_compressed_if_the_client_takes_that(metrics: Metrics) -> None:
    families = metrics.collect()
    plain, packed = expose(families), expose(families, "", "deflate, gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4
