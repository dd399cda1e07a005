"""The files of a broker, damaged as a failing disk would."""

from __future__ import annotations

from collections.abc import Callable

from demo.broker import KafkaBroker

__all__ = ["Segment"]


class Segment:
    """The file that holds a partition with little in it; the broker may run."""

    def __init__(self, broker: KafkaBroker, topic: str, partition: int) -> None:
        (self._path,) = (broker.data_path / f"{topic}-{partition}").glob("*.log")

    def damage_batch(self, number: int, damaging: Callable[[bytearray], None]) -> None:
        """Damage the batch of that number, counted from 0."""
        data = self._path.read_bytes()
        at = 0
        for _ in range(number):
            at += self._size(data, at)
        batch = bytearray(data[at : at + self._size(data, at)])
        damaging(batch)
        self._write(at, batch)

    def restore(self, data: bytes) -> None:
        self._write(0, data)

    def read(self) -> bytes:
        return self._path.read_bytes()

    def _write(self, at: int, data: bytes | bytearray) -> None:
        with self._path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    @staticmethod
    def _size(data: bytes, at: int) -> int:
        return 12 + int.from_bytes(data[at + 8 : at + 12], "big")
