"""Verdicts on fast ways to compute a model, kept on disk so that only the first start pays."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from worker.cache import exclusive, write_whole

__all__ = ["Verdict", "VerdictStore", "processor"]

JUDGEMENT = 2
"""Version of what is judged. Raise it when scores come about, or are compared, in another way:
verdicts that were kept before count no longer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a candidate agreed with the reference.

    Attributes:
        agrees: it can be trusted.
        deviation: largest difference of a score; 1 when the candidate could not answer.
    """

    agrees: bool
    deviation: float


class VerdictStore:
    """The verdict on one candidate for one model, on this kind of processor.

    A directory that cannot be read or written costs the check at each start, and nothing else.

    Args:
        directory: made if need be.
        digest: of the model.
        candidate: what is judged, with the version of its library.
    """

    def __init__(self, directory: Path, digest: str, candidate: str) -> None:
        # Kernels are chosen by the processor's features, and a cache may be shared by machines.
        key = sha256(f"{JUDGEMENT}\n{digest}\n{candidate}\n{processor()}".encode()).hexdigest()
        self._path = directory / f"{key[:32]}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Predictors that start side by side check one after another: the first one for all."""
        with ExitStack() as stack:
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive(self._path.with_suffix(".lock")))
            yield

    def read(self) -> Verdict | None:
        """The verdict, or None when there is none that can be read."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return Verdict(agrees=bool(kept["agrees"]), deviation=float(kept["deviation"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, verdict: Verdict) -> None:
        """Keep a verdict."""
        with suppress(OSError):
            write_whole(self._path, json.dumps(asdict(verdict)).encode())


def processor() -> str:
    """The processor's model and features, as far as the system tells."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\n\n")[0]
        wanted = ("model name", "flags", "Features")
        return "\n".join(line for line in text.splitlines() if line.startswith(wanted))
    return f"{platform.machine()} {platform.processor()}"
