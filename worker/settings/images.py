"""Settings of what happens to an image before and after the predictor."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from worker.settings.base import Bytes, Count, Group, MiB, Seconds, Speed, Unit
from worker.settings.lists import elements

__all__ = ["DecodeSettings", "FetchSettings", "PictureSettings"]


class FetchSettings(Group):
    """How image URLs are fetched, and which addresses they may reach."""

    concurrency: Count = Field(
        64,
        description="Most fetches at a time, shared fairly between hosts; a quarter is kept from "
        "hosts that are slow.",
    )
    per_host: Count = Field(
        16,
        description="Most fetches at a time from one host, that is one address, whatever its "
        "names.",
    )
    connect_timeout: Seconds = Field(3.0, description="Time to connect.")
    read_timeout: Seconds = Field(5.0, description="Longest silence while reading.")
    min_speed: Speed = Field(
        1024,
        description="Least of an image that must arrive, on average over each read_timeout; 0 is "
        "no bound.",
    )
    total_timeout: Seconds = Field(15.0, description="Time for one attempt, redirects included.")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        4, description="Attempts when an error is transient."
    )
    backoff_initial: Seconds = Field(
        0.2, description="Longest wait before the second attempt; doubles each time, with jitter."
    )
    backoff_max: Seconds = Field(5.0, description="Longest wait between attempts.")
    deadline: Seconds = Field(30.0, description="Time for all attempts of one job.")
    max_redirects: Annotated[int, Field(ge=0, le=20)] = Field(
        3, description="Most redirects followed; each target is checked."
    )
    max_bytes: Bytes = Field(20 * MiB, description="Largest image fetched.")
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Private networks that image URLs may reach; public addresses need no entry.",
    )
    trust_env: bool = Field(
        False,
        description="Whether HTTP_PROXY etc. are used; the proxy must then check addresses.",
    )
    user_agent: str = Field(
        "classify-worker", min_length=1, description="User-Agent header of fetches."
    )

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        """Take a list, a JSON array or `10.0.0.0/8,127.0.0.1/32`; nothing is the empty list."""
        if value is None:
            return ()
        if isinstance(value, str):
            value = elements(value)
        if not isinstance(value, list | tuple):
            return value  # pydantic refuses it
        return tuple(ip_network(n.strip() if isinstance(n, str) else n) for n in value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.backoff_initial > self.backoff_max:
            raise ValueError("backoff_initial must be at most backoff_max")
        return self


class DecodeSettings(Group):
    """Which images are accepted, and the processes that decode and draw them."""

    processes: Annotated[int, Field(ge=0, le=256)] = Field(
        0, description="Processes that decode and draw; 0 is one per core."
    )
    memory: Annotated[int, Field(ge=512 * MiB, le=2**40), Unit("bytes")] = Field(
        3 * 1024 * MiB,
        description="Most address space of each of these processes; an image that needs more is "
        "refused.",
    )
    cpu_seconds: Annotated[int, Field(ge=1, le=86_400), Unit("seconds")] = Field(
        30,
        description="Most processor time for one image to decode or draw, in whole seconds; an "
        "image that needs more is refused.",
    )
    max_bytes: Bytes = Field(
        20 * MiB, description="Largest encoded image accepted, whatever way it came."
    )
    max_pixels: Annotated[int, Field(ge=1, le=2**30)] = Field(
        64_000_000,
        description="Most pixels (width x height) accepted; a small file can hold a huge picture.",
    )
    max_side: Count = Field(30_000, description="Longest side accepted, in pixels.")
    timeout: Seconds = Field(
        60.0,
        description="Time for one image to decode or draw, after which its process is killed; it "
        "is tried once more, alone, and then refused.",
    )


class PictureSettings(Group):
    """The visualisation in results."""

    enabled: bool = Field(
        True, description="Whether results carry a picture when the job does not say."
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(85, description="JPEG quality.")
    max_side: Annotated[int, Field(ge=32, le=16_384)] = Field(
        1024, description="Longest side of the picture, in pixels."
    )
