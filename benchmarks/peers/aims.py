"""What the worker is meant to reach beside its peers, on two cores."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AIMS", "AIMS_MODEL", "Aim"]

AIMS_MODEL = "pp_lcnet_x1_0"
"""The network that the aims are about: with a larger one, what is around it weighs less."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the worker is meant to reach, the peer as 1.

    Attributes:
        rate: the least images/s.
        cpu: the most CPU time per image.
    """

    rate: float | None = None
    cpu: float | None = None

    def reached(self, rate: float, cpu: float) -> bool:
        """Tell whether ratios are as good as that.

        Args:
            rate: of images/s.
            cpu: of CPU time per image.

        Returns:
            Whether both are.
        """
        # Rounded: 4.2 ms of 10 are not 0.42 in binary fractions.
        fast = self.rate is None or round(rate, 3) >= self.rate
        return fast and (self.cpu is None or round(cpu, 3) <= self.cpu)

    def __str__(self) -> str:
        rate = () if self.rate is None else (f"images/s {self.rate:g}",)
        cpu = () if self.cpu is None else (f"CPU {self.cpu:g}",)
        return ", ".join((*rate, *cpu))


AIMS = {
    ("plain consumer", "Kafka, with pictures"): Aim(rate=1.9, cpu=0.42),
    ("plain consumer", "Kafka, without pictures"): Aim(cpu=0.5),
    ("PaddleX's service", "HTTP, 8 clients, with pictures"): Aim(rate=4.5),
    ("PaddleX's service", "HTTP, 8 clients, without pictures"): Aim(rate=3.5),
    ("PaddleX's service", "HTTP, 1 client, with pictures"): Aim(rate=2.2),
    ("PaddleX's service", "HTTP, 1 client, without pictures"): Aim(rate=1.8),
}
"""By peer and load."""
