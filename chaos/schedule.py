"""Which faults happen when: a pure function of the seed and of what was asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["FIRST_SHARE", "LAST_SHARE", "Fault", "Kind", "make_schedule"]


class Kind(StrEnum):
    """The kinds of faults; `MEANING` says what each one does."""

    WORKER_KILL = "worker-kill"
    WORKER_TERM = "worker-term"
    WORKER_ZOMBIE = "worker-zombie"
    ROLLING_RESTART = "rolling-restart"
    PREDICTOR_KILL = "predictor-kill"
    PREDICTOR_HANG = "predictor-hang"
    IMAGING_KILL = "imaging-kill"
    IMAGING_HANG = "imaging-hang"
    BROKER_KILL = "broker-kill"
    BROKER_PAUSE = "broker-pause"
    CONNECTIONS_CUT = "connections-cut"
    CONNECTIONS_SLOW = "connections-slow"
    CONNECTIONS_SILENT = "connections-silent"
    HOST_SLOW = "host-slow"
    HOST_DIES = "host-dies"
    CLOCK_SKEW = "clock-skew"
    CACHE_FULL = "cache-full"
    MORE_PARTITIONS = "more-partitions"
    RECORDS_DELETED = "records-deleted"
    TOPIC_RECREATED = "topic-recreated"

    @property
    def meaning(self) -> str:
        """What the fault does, for people."""
        return MEANING[self]


MEANING: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.WORKER_KILL: "SIGKILL of a worker, which is started again",
        Kind.WORKER_TERM: "SIGTERM of a worker, which is started again",
        Kind.WORKER_ZOMBIE: "SIGSTOP of a worker past its session time-out, then SIGCONT",
        Kind.ROLLING_RESTART: "SIGTERM of one worker after the other, each ready before the next",
        Kind.PREDICTOR_KILL: "SIGKILL of a predictor process",
        Kind.PREDICTOR_HANG: "SIGSTOP of a predictor process",
        Kind.IMAGING_KILL: "SIGKILL of an image process",
        Kind.IMAGING_HANG: "SIGSTOP of an image process",
        Kind.BROKER_KILL: "SIGKILL of a broker, which is started again",
        Kind.BROKER_PAUSE: "SIGSTOP of a broker, then SIGCONT",
        Kind.CONNECTIONS_CUT: "all connections of workers to one broker are reset",
        Kind.CONNECTIONS_SLOW: "each piece of data to and from one broker is held up",
        Kind.CONNECTIONS_SILENT: "connections to one broker stay open and carry nothing",
        Kind.HOST_SLOW: "the image host answers late",
        Kind.HOST_DIES: "the image host resets connections in the middle of an image",
        Kind.CLOCK_SKEW: "records have timestamps of last month, or of later today",
        Kind.CACHE_FULL: "a worker starts with a cache that cannot be written",
        Kind.MORE_PARTITIONS: "the jobs topic gets another partition",
        Kind.RECORDS_DELETED: "records that no worker has read yet are deleted, as by retention",
        Kind.TOPIC_RECREATED: "the jobs topic is deleted and made again",
    }
)

_WEIGHTS: Mapping[Kind, int] = MappingProxyType(
    {
        Kind.WORKER_KILL: 10,
        Kind.WORKER_TERM: 6,
        Kind.WORKER_ZOMBIE: 8,
        Kind.ROLLING_RESTART: 2,
        Kind.PREDICTOR_KILL: 8,
        Kind.PREDICTOR_HANG: 5,
        Kind.IMAGING_KILL: 8,
        Kind.IMAGING_HANG: 5,
        Kind.BROKER_KILL: 6,
        Kind.BROKER_PAUSE: 6,
        Kind.CONNECTIONS_CUT: 10,
        Kind.CONNECTIONS_SLOW: 5,
        Kind.CONNECTIONS_SILENT: 5,
        Kind.HOST_SLOW: 5,
        Kind.HOST_DIES: 5,
        Kind.CLOCK_SKEW: 4,
        Kind.CACHE_FULL: 2,
        Kind.MORE_PARTITIONS: 1,
        Kind.RECORDS_DELETED: 3,
        Kind.TOPIC_RECREATED: 1,
    }
)

_AT_MOST: Mapping[Kind, int] = MappingProxyType({Kind.MORE_PARTITIONS: 6, Kind.TOPIC_RECREATED: 3})
"""What leaves traces for the rest of the run happens a few times."""

_SECONDS: Mapping[Kind, tuple[float, float]] = MappingProxyType(
    {
        # The session time-out of the workers is 6 s.
        Kind.WORKER_ZOMBIE: (7.5, 10.0),
        Kind.WORKER_KILL: (0.0, 2.0),
        Kind.BROKER_KILL: (0.5, 5.0),
        Kind.BROKER_PAUSE: (1.0, 8.0),
        Kind.CONNECTIONS_SLOW: (2.0, 6.0),
        Kind.CONNECTIONS_SILENT: (2.0, 12.0),
        Kind.HOST_SLOW: (2.0, 6.0),
        Kind.HOST_DIES: (1.0, 6.0),
    }
)
"""How long each takes, or how long the process is down, in seconds: least and most."""

FIRST_SHARE = 0.10
LAST_SHARE = 0.88
"""Between these shares of all jobs the faults happen. Before and after it is quiet, so that memory
and descriptors can be compared."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a schedule.

    Attributes:
        at: happens once so many jobs are done.
        target: chooses the worker, broker or process; taken modulo how many there are.
        seconds: how long it takes, where that is a matter of time.
        jobs: how many jobs it is about, where it is about jobs.
        ahead: whether clocks are ahead; otherwise they are behind.
    """

    number: int
    at: int
    kind: Kind
    target: int
    seconds: float
    jobs: int
    ahead: bool


def make_schedule(
    seed: int, jobs: int, faults: int, kinds: Sequence[Kind] = tuple(Kind)
) -> list[Fault]:
    """Draw a schedule: each kind once, if there are enough faults, the others by their weight.

    Args:
        jobs: in the run; the faults are spread over them.
        kinds: those to draw from.

    Returns:
        The faults in their order; the same for the same arguments, on every machine.
    """
    # Not secret: the point is that everyone can draw the same again.
    draw = random.Random(f"schedule {seed}")  # noqa: S311
    drawn = _draw_kinds(draw, faults, kinds)
    first, last = FIRST_SHARE * jobs, LAST_SHARE * jobs
    step = (last - first) / max(1, faults)
    return [
        Fault(
            number=number,
            at=round(first + step * (number + draw.random())),
            kind=kind,
            target=draw.randrange(1 << 30),
            seconds=round(draw.uniform(*_SECONDS.get(kind, (0.0, 0.0))), 2),
            jobs=draw.randint(20, 200),
            ahead=draw.random() < 0.5,
        )
        for number, kind in enumerate(drawn)
    ]


def _draw_kinds(draw: random.Random, faults: int, kinds: Sequence[Kind]) -> list[Kind]:
    drawn = draw.sample(kinds, min(faults, len(kinds)))
    while len(drawn) < faults:
        open_kinds = [k for k in kinds if drawn.count(k) < _AT_MOST.get(k, faults)]
        if not open_kinds:
            break
        drawn += draw.choices(open_kinds, [_WEIGHTS[kind] for kind in open_kinds])
    draw.shuffle(drawn)
    return drawn
