"""What a training's process hears of its owner."""

from __future__ import annotations

import socket

from worker.runtime.messages import Channel
from worker.training.process.serving import Owner


def test_a_wish_to_stop_that_comes_together_with_the_request_is_heard() -> None:
    ours, theirs = socket.socketpair()
    with Channel(ours) as asking, Channel(theirs) as channel:
        owner = Owner(channel, 0)
        assert not owner.stopping()
        asking.send({"do": "fit"})
        asking.send({"do": "stop"})
        assert channel.receive() == {"do": "fit"}
        assert owner.stopping()
        assert not owner.stopping()
