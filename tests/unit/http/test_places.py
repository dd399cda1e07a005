"""Connections that wait make room for new ones; those with a request under way do not."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import generate_latest

from worker.http.places import Place, Places
from worker.metrics import Metrics


class Port:
    """Places, and which connections were ended for others."""

    def __init__(self, most: int) -> None:
        self.metrics = Metrics()
        self.places = Places(most, self.metrics)
        self.ended: list[str] = []

    def connect(self, name: str) -> Place | None:
        return self.places.take(self._end(name))

    def taken(self, name: str) -> Place:
        place = self.connect(name)
        assert place is not None
        return place

    def _end(self, name: str) -> Callable[[], None]:
        return lambda: self.ended.append(name)

    def says(self, line: str) -> bool:
        return line in generate_latest(self.metrics.registry).decode().splitlines()


def test_the_one_that_has_waited_longest_makes_room() -> None:
    port = Port(2)
    first, second = port.taken("first"), port.taken("second")
    with first.busy():
        pass
    port.taken("third")
    assert port.ended == ["second"]
    second.leave()  # as its connection is lost
    assert len(port.places) == 2
    port.taken("fourth")
    assert port.ended == ["second", "first"]
    assert port.says('classify_http_turned_away_total{cause="made_room"} 2.0')
    assert port.says("classify_http_connections 2.0")


def test_a_request_under_way_is_not_interrupted() -> None:
    port = Port(2)
    busy, other = port.taken("busy"), port.taken("other")
    with busy.busy():
        with other.busy():
            assert port.connect("third") is None
            assert port.says('classify_http_turned_away_total{cause="no_room"} 1.0')
        port.taken("third")
        port.taken("fourth")
    assert port.ended == ["other", "third"]


def test_a_connection_that_is_lost_frees_its_place_once() -> None:
    port = Port(1)
    place = port.taken("first")
    with place.busy():
        place.leave()
    place.leave()
    assert len(port.places) == 0
    assert port.connect("second") is not None
    assert port.ended == []
    assert port.says("classify_http_connections 1.0")


def test_what_was_ended_for_another_does_not_come_back() -> None:
    port = Port(1)
    first = port.taken("first")
    port.taken("second")
    with first.busy():  # its answer was being made in that moment
        pass
    port.taken("third")
    assert port.ended == ["first", "second"]
    assert len(port.places) == 1
