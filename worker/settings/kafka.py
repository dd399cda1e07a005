"""Settings of everything that speaks to Kafka."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from worker.settings.base import Count, Group, MessageBytes, MiB, Seconds

__all__ = ["KafkaSettings", "SaslSettings", "TlsSettings", "TopicSettings"]

_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,/@]+):[0-9]{1,5}")


class TlsSettings(Group):
    """Certificates for SSL and SASL_SSL; with `cert_file` and `key_file` it is mutual TLS."""

    ca_file: Path | None = Field(
        None, description="PEM file of authorities to trust; the system's when unset."
    )
    cert_file: Path | None = Field(
        None, description="PEM file of the client certificate, for mutual TLS."
    )
    key_file: Path | None = Field(
        None, description="PEM file of the client's private key, for mutual TLS."
    )
    key_password: SecretStr | None = Field(None, description="Password of the private key.")
    verify_hostname: bool = Field(
        True, description="Whether the broker's certificate must name its host."
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("mutual TLS needs both cert_file and key_file")
        return self


class SaslSettings(Group):
    """Credentials for SASL_PLAINTEXT and SASL_SSL."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="SASL mechanism."
    )
    username: str | None = Field(None, description="User name for PLAIN and SCRAM.")
    password: SecretStr | None = Field(None, description="Password for PLAIN and SCRAM.")
    token_file: Path | None = Field(
        None,
        description="OAUTHBEARER: file with the token, read again each time that one is needed.",
    )
    token_endpoint: str | None = Field(
        None,
        description="OAUTHBEARER: OAuth 2 token endpoint (client credentials); a user name and "
        "password in it are not sent.",
    )
    client_id: str | None = Field(
        None, description="OAUTHBEARER: client id for the token endpoint."
    )
    client_secret: SecretStr | None = Field(
        None, description="OAUTHBEARER: client secret for the token endpoint."
    )
    scope: str | None = Field(None, description="OAUTHBEARER: scope to ask the token endpoint for.")

    @field_validator("token_endpoint")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            # A port that is none is what follows a password with a slash in it.
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("use an http or https address")
        if "#" in value:
            raise ValueError("leave out # and what follows (RFC 6749, section 3.2)")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mechanism != "OAUTHBEARER":
            return self
        if (self.token_file is None) == (self.token_endpoint is None):
            raise ValueError("OAUTHBEARER needs either token_file or token_endpoint")
        if self.token_endpoint is not None and None in (self.client_id, self.client_secret):
            raise ValueError("token_endpoint needs client_id and client_secret")
        return self


class TopicSettings(Group):
    """How topics are made when `kafka.create_topics` is on."""

    partitions: Count = Field(
        6,
        description="Partitions of a topic that is created; the most replicas that share work.",
    )
    replication_factor: Annotated[int, Field(ge=-1, le=100)] = Field(
        -1, description="Replicas of a topic that is created; -1 takes the broker's default."
    )


class KafkaSettings(Group):
    """Where jobs come from and results go, and how the consumer group behaves."""

    bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Brokers, as host:port,host:port."
    )
    jobs_topic: str = Field("image-jobs", min_length=1, description="Topic that jobs come from.")
    results_topic: str = Field(
        "image-results", min_length=1, description="Topic that results are written to."
    )
    dead_letters_topic: str = Field(
        "image-jobs-dead-letters",
        min_length=1,
        description="Topic that gets the original record of each failed job.",
    )
    group_id: str = Field(
        "image-classification",
        min_length=1,
        description="Consumer group; replicas that share it share the work.",
    )
    client_id: str = Field(
        "classify-worker", min_length=1, description="Name that brokers log for this client."
    )
    group_instance_id: str | None = Field(
        None,
        description="Static member name, unique per replica: a quick restart causes no rebalance.",
    )
    create_topics: bool = Field(
        False, description="Whether missing topics are created; otherwise they are an error."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        "earliest",
        description="Where a new group starts; earliest loses no job that is already there. "
        "A group that has committed goes on where it was, or at the earliest record that is left.",
    )
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed", description="Whether jobs of aborted producer transactions are skipped."
    )
    assignor: Literal["range", "roundrobin", "sticky"] = Field(
        "roundrobin", description="How the group spreads partitions over replicas."
    )
    session_timeout: Seconds = Field(
        30.0, description="Silence after which the group takes a replica for dead."
    )
    heartbeat_interval: Seconds = Field(
        3.0, description="Time between heartbeats; a third of session_timeout at most."
    )
    rebalance_timeout: Seconds = Field(
        60.0,
        description="Time that a rebalance waits for each replica to give up its partitions.",
    )
    drain_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of rebalance_timeout spent finishing jobs of revoked partitions.",
    )
    max_poll_interval: Seconds = Field(
        300.0, description="Time without a poll after which the replica leaves the group."
    )
    commit_interval: Seconds = Field(
        1.0, description="Time between commits; what a crash can deliver again."
    )
    metadata_max_age: Seconds = Field(
        30.0, description="Time after which new partitions of the jobs topic are noticed."
    )
    request_timeout: Seconds = Field(30.0, description="Time to wait for a broker's answer.")
    fetch_max_bytes: MessageBytes = Field(
        32 * MiB,
        description="Bytes fetched and not yet taken in at which no more are fetched.",
    )
    batch_max_bytes: MessageBytes = Field(
        64 * MiB,
        description="Most bytes that a compressed batch inflates to; records beyond it fail.",
    )
    partition_fetch_bytes: MessageBytes = Field(
        8 * MiB,
        description="Most bytes that one fetch returns per partition; a larger record comes alone.",
    )
    topics: TopicSettings = TopicSettings()
    tls: TlsSettings = TlsSettings()
    sasl: SaslSettings = SaslSettings()

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in value.split(","):
            if "@" in address:
                # Not shown: a password precedes it.
                raise ValueError("write brokers as host:port; credentials belong in kafka.sasl")
            if not _BROKER.fullmatch(address.strip()):
                raise ValueError(f"{address.strip()!r} is not host:port")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # In floating point 0.1 * 3 is more than 0.3, which must not refuse an exact third.
        if self.heartbeat_interval * 3 > self.session_timeout * (1 + 1e-9):
            raise ValueError("heartbeat_interval must be at most a third of session_timeout")
        if len({self.jobs_topic, self.results_topic, self.dead_letters_topic}) < 3:
            raise ValueError(
                "jobs_topic, results_topic and dead_letters_topic must differ: "
                "results would come back as jobs"
            )
        sasl = self.sasl
        password_wanted = (
            self.security_protocol.startswith("SASL") and sasl.mechanism != "OAUTHBEARER"
        )
        if password_wanted and None in (sasl.username, sasl.password):
            raise ValueError(f"{sasl.mechanism} needs sasl.username and sasl.password")
        return self
