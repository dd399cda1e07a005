"""Results of parity checks, kept on disk so that only a model's first start pays for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from worker.cache import exclusive, write_whole
from worker.runtime.processor import processor

__all__ = ["Parity", "ParityCache"]

CHECK_VERSION = 3
"""Raise it when scores are computed or compared in another way: earlier results are then not
used."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How well a backend agreed with plain Paddle.

    Attributes:
        agrees: its answers can be trusted.
        deviation: largest difference of a score; 1 when it gave no answer.
        problem: why it does not agree, in words; else empty.
    """

    agrees: bool
    deviation: float
    problem: str = ""


class ParityCache:
    """The result of one backend's check with one model, on this kind of processor.

    A directory that cannot be read or written costs the check at each start, and nothing else.

    Args:
        directory: made if it is missing.
        digest: of the model.
        backend: what is checked, with the versions of its libraries.
    """

    def __init__(self, directory: Path, digest: str, backend: str) -> None:
        # Kernels are chosen by the processor's features, and machines may share a cache.
        key = sha256(f"{CHECK_VERSION}\n{digest}\n{backend}\n{processor()}".encode()).hexdigest()
        self._path = directory / f"{key[:32]}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one of the predictors that start at the same time check, while the others wait."""
        with ExitStack() as stack:
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive(self._path.with_suffix(".lock")))
            yield

    def read(self) -> Parity | None:
        """Read the result.

        Returns:
            The result, or None when there is none that can be read.
        """
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return Parity(
                agrees=bool(kept["agrees"]),
                deviation=float(kept["deviation"]),
                problem=str(kept["problem"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, parity: Parity) -> None:
        """Keep a result."""
        with suppress(OSError):
            write_whole(self._path, json.dumps(asdict(parity)).encode())
