"""Looking at several workers, of which none waits for another."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

from tests.support.exposition import saying, serving
from worker.metrics import Metrics
from worker.top.scrape import Address
from worker.top.watch import Seen, Watch, look_twice

BOUND = 30.0
WORKER = Metrics().render().encode()


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("look-at-"):
            thread.join(BOUND)


def test_one_that_hangs_holds_up_no_other() -> None:
    done, changed = threading.Event(), threading.Condition()

    def hold(_request: BaseHTTPRequestHandler) -> None:
        done.wait(BOUND)

    def tell() -> None:
        with changed:
            changed.notify_all()

    with serving(hold) as hanging, serving(saying(WORKER)) as working:
        with Watch([hanging, working], 0.01, tell) as watch, changed:
            assert changed.wait_for(lambda: watch.seen[1].change is not None, BOUND)
            assert watch.seen[0].last is None
        done.set()
        wait_for_threads()


def test_after_the_end_nothing_is_told() -> None:
    asked, done, ended = threading.Event(), threading.Event(), threading.Event()
    told: list[bool] = []

    def hold(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        done.wait(BOUND)
        saying(WORKER)(request)
        ended.set()

    with serving(hold) as address:
        with Watch([address], 0.01, lambda: told.append(True)):
            assert asked.wait(BOUND)
        done.set()
        assert ended.wait(BOUND)
        wait_for_threads()
    assert not told


def test_one_that_comes_back_is_begun_with_anew(unused_port: int) -> None:
    away = Address(False, "127.0.0.1", unused_port)
    with serving(saying(WORKER)) as address:
        once = Seen(address).look()
        assert once.last is not None
        assert once.change is None
        assert once.look().change is not None
        gone = Seen(away, once.last).look()
        assert (gone.last, gone.change, gone.problem) == (None, None, "connection refused")


def test_two_looks_at_all_of_them(unused_port: int) -> None:
    with serving(saying(WORKER)) as address:
        up, down = look_twice([address, Address(False, "127.0.0.1", unused_port)], 0.01)
    assert up.change is not None
    assert down.problem == "connection refused"
