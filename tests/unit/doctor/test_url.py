"""An image's address, fetched under the worker's own rules."""

from __future__ import annotations

from ipaddress import ip_network

from tests.support.zoo_host import Host
from worker.doctor.findings import Status
from worker.doctor.url import look_at_url
from worker.settings import FetchSettings

LOOPBACK = FetchSettings.model_validate({"allow_networks": (ip_network("127.0.0.0/8"),)})


def test_without_an_address_nothing_is_tried_and_the_rules_are_said() -> None:
    (found,) = look_at_url(None, LOOPBACK, 10.0)
    assert found.status is Status.SKIP
    assert "127.0.0.0/8" in found.found
    assert "--url" in found.remedy


def test_an_address_is_fetched_once() -> None:
    with Host() as host:
        host.files["/cat.jpg"] = b"12345"
        (found,) = look_at_url(f"{host.url}/cat.jpg", LOOPBACK, 30.0)
        (missing,) = look_at_url(f"{host.url}/dog.jpg", LOOPBACK, 30.0)
    assert found.status is Status.OK
    assert f"{host.url}/cat.jpg: 5 bytes in " in found.found
    assert missing.status is Status.FAIL
    assert "404" in missing.remedy


def test_an_address_that_jobs_may_not_reach_is_refused_here_too() -> None:
    (found,) = look_at_url("http://127.0.0.1:9/cat.jpg", FetchSettings(), 10.0)
    assert found.status is Status.FAIL
    assert "WORKER_FETCH__ALLOW_NETWORKS" in found.remedy
