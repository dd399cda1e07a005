"""Every setting: its type, default, unit and a sentence. Where values come from is `worker.configuration`'s.

Times are seconds, sizes are bytes, unless a name says otherwise. All models are frozen: settings do
not change while the worker runs.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

__all__ = [
    "BatchingSettings",
    "DecodeSettings",
    "FetchSettings",
    "HttpSettings",
    "IntakeSettings",
    "KafkaSettings",
    "LogSettings",
    "PictureSettings",
    "PredictorSettings",
    "PublishSettings",
    "SaslSettings",
    "Settings",
    "ShutdownSettings",
    "TlsSettings",
    "TopicSettings",
]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(ge=1, le=2**40)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

MiB = 1024 * 1024


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class TlsSettings(_Group):
    """Certificates for `SSL` and `SASL_SSL`; with `cert_file` and `key_file` it is mutual TLS."""

    ca_file: Path | None = Field(None, description="PEM file of authorities to trust; the system's when unset.")
    cert_file: Path | None = Field(None, description="PEM file of the client certificate, for mutual TLS.")
    key_file: Path | None = Field(None, description="PEM file of the client's private key, for mutual TLS.")
    key_password: SecretStr | None = Field(None, description="Password of the private key.")
    verify_hostname: bool = Field(True, description="Whether the broker's certificate must name its host.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("mutual TLS needs both cert_file and key_file")
        return self


class SaslSettings(_Group):
    """Credentials for `SASL_PLAINTEXT` and `SASL_SSL`."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="SASL mechanism."
    )
    username: str | None = Field(None, description="User name for PLAIN and SCRAM.")
    password: SecretStr | None = Field(None, description="Password for PLAIN and SCRAM.")
    token_file: Path | None = Field(
        None, description="OAUTHBEARER: file with the token, read again each time that one is needed."
    )
    token_endpoint: str | None = Field(None, description="OAUTHBEARER: OAuth 2 token endpoint (client credentials).")
    client_id: str | None = Field(None, description="OAUTHBEARER: client id for the token endpoint.")
    client_secret: SecretStr | None = Field(None, description="OAUTHBEARER: client secret for the token endpoint.")
    scope: str | None = Field(None, description="OAUTHBEARER: scope to ask the token endpoint for.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mechanism != "OAUTHBEARER":
            return self
        if (self.token_file is None) == (self.token_endpoint is None):
            raise ValueError("OAUTHBEARER needs either token_file or token_endpoint")
        if self.token_endpoint is not None and (self.client_id is None or self.client_secret is None):
            raise ValueError("token_endpoint needs client_id and client_secret")
        return self


class TopicSettings(_Group):
    """How topics are made when `kafka.create_topics` is on."""

    partitions: Count = Field(6, description="Partitions of a topic that is created; the most replicas that share work.")
    replication_factor: int = Field(
        -1, ge=-1, le=100, description="Replicas of a topic that is created; -1 takes the broker's default."
    )


class KafkaSettings(_Group):
    """Where jobs come from and results go, and how the consumer group behaves."""

    bootstrap_servers: str = Field("localhost:9092", min_length=1, description="Brokers, as host:port,host:port.")
    jobs_topic: str = Field("image-jobs", min_length=1, description="Topic that jobs are read from.")
    results_topic: str = Field("image-results", min_length=1, description="Topic that results are written to.")
    dead_letters_topic: str = Field(
        "image-jobs-dead-letters", min_length=1, description="Topic that gets the original record of each failed job."
    )
    group_id: str = Field("image-classification", min_length=1, description="Consumer group; replicas that share it share the work.")
    client_id: str = Field("classify-worker", min_length=1, description="Name that brokers log for this client.")
    group_instance_id: str | None = Field(
        None, description="Static member name, unique per replica: a quick restart then causes no rebalance."
    )
    create_topics: bool = Field(False, description="Whether missing topics are created; otherwise they are an error.")
    topics: TopicSettings = TopicSettings()
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    tls: TlsSettings = TlsSettings()
    sasl: SaslSettings = SaslSettings()
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a new group starts; earliest loses no job that is already there."
    )
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed", description="Whether jobs of aborted producer transactions are skipped."
    )
    assignor: Literal["range", "roundrobin", "sticky"] = Field(
        "roundrobin", description="How the group spreads partitions over replicas."
    )
    session_timeout: Seconds = Field(30.0, description="Silence after which the group takes a replica for dead.")
    heartbeat_interval: Seconds = Field(3.0, description="Time between heartbeats; a third of session_timeout at most.")
    rebalance_timeout: Seconds = Field(60.0, description="Time that a rebalance waits for each replica to give up its partitions.")
    drain_share: float = Field(
        0.5, gt=0, lt=1, description="Share of rebalance_timeout that is spent finishing jobs of revoked partitions."
    )
    max_poll_interval: Seconds = Field(300.0, description="Time without a poll after which the replica leaves the group.")
    commit_interval: Seconds = Field(1.0, description="Time between commits; what a crash can deliver again.")
    request_timeout: Seconds = Field(30.0, description="Time to wait for a broker's answer.")
    fetch_max_bytes: Bytes = Field(32 * MiB, description="Most bytes that one fetch returns from one broker.")
    partition_fetch_bytes: Bytes = Field(
        8 * MiB, description="Most bytes that one fetch returns per partition; larger records still arrive, alone."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat_interval * 3 > self.session_timeout:
            raise ValueError("heartbeat_interval must be at most a third of session_timeout")
        if len({self.jobs_topic, self.results_topic, self.dead_letters_topic}) < 3:
            raise ValueError("jobs_topic, results_topic and dead_letters_topic must differ: results would come back as jobs")
        if self.security_protocol.startswith("SASL") and self.sasl.mechanism != "OAUTHBEARER":
            if self.sasl.username is None or self.sasl.password is None:
                raise ValueError(f"{self.sasl.mechanism} needs sasl.username and sasl.password")
        if self.security_protocol.startswith("SASL") and self.sasl.mechanism == "OAUTHBEARER":
            if self.sasl.token_file is None and self.sasl.token_endpoint is None:
                raise ValueError("OAUTHBEARER needs sasl.token_file or sasl.token_endpoint")
        return self


class IntakeSettings(_Group):
    """How much work is taken in at a time: memory is bounded here."""

    max_jobs: Count = Field(512, description="Most jobs in flight, over all partitions.")
    max_bytes: Bytes = Field(256 * MiB, description="Bytes of records and images held at which no more jobs are taken in.")
    partition_max_jobs: Count = Field(256, description="Most jobs in flight per partition; a full partition is paused.")


class FetchSettings(_Group):
    """How image URLs are fetched, and which addresses they may reach."""

    concurrency: Count = Field(64, description="Most fetches at a time.")
    per_host: Count = Field(16, description="Most connections to one host at a time.")
    connect_timeout: Seconds = Field(3.0, description="Time to connect.")
    read_timeout: Seconds = Field(5.0, description="Longest silence while reading.")
    total_timeout: Seconds = Field(15.0, description="Time for one attempt, redirects included.")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(4, description="Attempts when an error is transient.")
    backoff_initial: Seconds = Field(0.2, description="Longest wait before the second attempt; doubles each time, with jitter.")
    backoff_max: Seconds = Field(5.0, description="Longest wait between attempts.")
    deadline: Seconds = Field(30.0, description="Time for all attempts of one job.")
    max_redirects: Annotated[int, Field(ge=0, le=20)] = Field(3, description="Most redirects followed; each target is checked.")
    max_bytes: Bytes = Field(20 * MiB, description="Largest image fetched.")
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="Private networks that image URLs may reach, as CIDR; public addresses need no entry."
    )
    trust_env: bool = Field(
        False, description="Whether HTTP_PROXY and the like are used; the proxy must then do the address check."
    )
    user_agent: str = Field("classify-worker", min_length=1, description="User-Agent header of fetches.")


class DecodeSettings(_Group):
    """Which images are accepted, and on how many threads they are decoded."""

    threads: Annotated[int, Field(ge=0, le=256)] = Field(0, description="Threads that decode and draw; 0 is one per core.")
    max_bytes: Bytes = Field(20 * MiB, description="Largest encoded image accepted, whatever way it came.")
    max_pixels: Annotated[int, Field(ge=1, le=2**30)] = Field(64_000_000, description="Most pixels (width x height) accepted; a small file can hold a huge picture.")
    max_side: Count = Field(30_000, description="Longest side accepted, in pixels.")


class PredictorSettings(_Group):
    """The predictor processes."""

    slots: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="Predictor processes; 0 is one per listed GPU, or what suits the cores on CPU."
    )
    threads: Annotated[int, Field(ge=0, le=256)] = Field(0, description="CPU threads per predictor; 0 shares out the cores.")
    timeout: Seconds = Field(60.0, description="Time for one batch, after which the predictor is killed and started again.")
    start_timeout: Seconds = Field(180.0, description="Time for a predictor process to load its model and warm up.")
    top_k: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0, description="Categories per result when the job names no number; 0 is the model's own default."
    )


class BatchingSettings(_Group):
    """How jobs share a run of the predictor."""

    max_batch: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Most images per batch; 0 measures at start-up and takes the smallest batch that is nearly the fastest."
    )
    calibration_limit: Annotated[int, Field(ge=1, le=1024)] = Field(32, description="Largest batch that start-up measures.")
    linger: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0, description="Longest wait of the oldest image for a fuller batch while a predictor is free."
    )
    patience: Seconds = Field(
        30.0, description="Jobs without a deadline are ordered as if they had this much time; they never expire."
    )


class PictureSettings(_Group):
    """The visualisation in results."""

    enabled: bool = Field(True, description="Whether results carry a picture when the job does not say.")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(85, description="JPEG quality.")
    max_side: Annotated[int, Field(ge=32, le=16_384)] = Field(1024, description="Longest side of the picture, in pixels.")


class PublishSettings(_Group):
    """How results and dead letters are written."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="Compression of batches; JPEG pictures hardly shrink."
    )
    max_request_bytes: Bytes = Field(
        8 * MiB, description="Largest message; a larger result loses its picture. Keep it at the topic's max.message.bytes."
    )
    linger: Annotated[float, Field(ge=0, le=10)] = Field(0.0, description="Time to gather messages into one request.")
    backoff_max: Seconds = Field(5.0, description="Longest wait between attempts while the broker does not answer.")


class HttpSettings(_Group):
    """The HTTP server for metrics and probes."""

    host: str = Field("0.0.0.0", min_length=1, description="Address to listen on.")  # noqa: S104 - a container's probe comes from outside
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8080, description="Port to listen on; 0 takes a free one.")


class ShutdownSettings(_Group):
    """How the worker stops."""

    deadline: Seconds = Field(25.0, description="Time from the first signal to exit; below Kubernetes' grace period of 30.")


class LogSettings(_Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level logged; debug has a line a job.")
    format: Literal["console", "json"] = Field("json", description="Lines for people, or JSON for collectors.")


class Settings(_Group):
    """The settings of one worker: `Settings()` is all defaults, `worker.configuration.load` reads the rest."""

    model: str = Field(
        "PP-LCNet_x1_0", min_length=1, description="Model name in the cache, or the directory of an inference model."
    )
    model_cache: Path | None = Field(None, description="Directory that holds models by name; the user's cache when unset.")
    device: str = Field("cpu", min_length=1, description="cpu, gpu:0, gpu:0,1, npu:0, xpu:0 or mlu:0.")
    kafka: KafkaSettings = KafkaSettings()
    intake: IntakeSettings = IntakeSettings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    predictor: PredictorSettings = PredictorSettings()
    picture: PictureSettings = PictureSettings()
    publish: PublishSettings = PublishSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()

