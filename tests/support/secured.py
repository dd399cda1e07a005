"""A broker with a listener for each method of authentication, its certificates and tokens."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from demo.broker import JAVA_OPTIONS, KafkaBroker
from demo.ports import free_ports
from tests.support.serving import serving

__all__ = ["KEY_PASSWORD", "Certificates", "SecuredBroker", "TokenIssuer"]

KEY_PASSWORD = "open-sesame"
AUDIENCE = "kafka"
ISSUER = "https://issuer.example"
LIFETIME = 600
"""Seconds that a token is good for."""

LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "PLAIN": "SASL_PLAINTEXT",
    "SCRAM": "SASL_SSL",
    "OAUTH": "SASL_SSL",
    "CONTROLLER": "PLAINTEXT",
}
"""The listeners' names and protocols; the broker talks to itself on the first."""

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_OAUTH = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of a private authority and of what it vouches for.

    Attributes:
        ca: the authority's certificate.
        broker: key and certificate of the broker at 127.0.0.1.
        client_cert: the worker's certificate.
        client_key: its key, encrypted with KEY_PASSWORD.
        plain_key: the same key, not encrypted.
    """

    ca: Path
    broker: Path
    client_cert: Path
    client_key: Path
    plain_key: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        authority = trustme.CA()
        names = ("ca", "broker", "client", "encrypted", "plain")
        files = cls(*(directory / f"{name}.pem" for name in names))
        authority.cert_pem.write_to_path(str(files.ca))
        broker = authority.issue_cert("127.0.0.1")
        client = authority.issue_cert("classify-worker.example")
        files.broker.write_bytes(_pkcs8(broker) + broker.cert_chain_pems[0].bytes())
        files.client_cert.write_bytes(client.cert_chain_pems[0].bytes())
        files.client_key.write_bytes(_pkcs8(client, KEY_PASSWORD))
        files.plain_key.write_bytes(_pkcs8(client))
        return files


class TokenIssuer:
    """Signs tokens (RFC 7519) and publishes its key for the broker.

    Attributes:
        keys: the file with its public key (RFC 7517).
        requests: what its endpoint was asked: `Authorization` header and form.
    """

    def __init__(self, directory: Path) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._key = rsa.generate_private_key(65537, 2048)
        public = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "kid": "1",
            "alg": "RS256",
            "use": "sig",
            "n": _url64(public.n.to_bytes(256)),
            "e": _url64(public.e.to_bytes(3)),
        }
        self.keys = directory / "keys.json"
        self.keys.write_text(json.dumps({"keys": [key]}), "utf-8")

    def token(self, audience: str = AUDIENCE) -> str:
        now = int(time.time())
        claims = {
            "sub": "worker",
            "iss": ISSUER,
            "aud": audience,
            "iat": now,
            "exp": now + LIFETIME,
        }
        parts = ({"alg": "RS256", "kid": "1"}, claims)
        signed = ".".join(_url64(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_url64(signature)}"

    @asynccontextmanager
    async def endpoint(self) -> AsyncIterator[str]:
        """The address of a token endpoint on loopback, which gives a token to everybody."""
        app = web.Application()
        app.router.add_post("/token", self._answer)
        async with serving(app) as port:
            yield f"http://127.0.0.1:{port}/token"

    async def _answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append((request.headers.get("Authorization", ""), form))
        return web.json_response({"access_token": self.token(), "expires_in": LIFETIME})


class SecuredBroker:
    """A broker on loopback with all LISTENERS.

    Args:
        users: `name: password` for PLAIN and SCRAM.

    Attributes:
        broker: the broker itself, not started.
        certificates: of the authority that both sides are to trust.
        issuer: the source of its tokens.
    """

    def __init__(self, directory: Path, jars: Sequence[Path], users: Mapping[str, str]) -> None:
        self.certificates = Certificates.make(directory)
        self.issuer = TokenIssuer(directory)
        self._addresses = {
            name: f"127.0.0.1:{port}"
            for name, port in zip(LISTENERS, free_ports(len(LISTENERS)), strict=True)
        }
        keys = self.issuer.keys.as_uri()
        self.broker = KafkaBroker(
            directory / "kafka",
            jars,
            properties=_properties(self._addresses, self.certificates, keys, users),
            java_options=[
                *JAVA_OPTIONS,
                f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}",
            ],
            format_arguments=[
                argument
                for name, password in users.items()
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
            ],
        )

    def client(self, listener: str, **settings: str) -> dict[str, str]:
        """The environment of a client of a listener: its address, its protocol, the authority.

        Args:
            settings: more of the settings of Kafka, or others, by their variables' ends.
        """
        known = {
            "BOOTSTRAP_SERVERS": self._addresses[listener],
            "SECURITY_PROTOCOL": LISTENERS[listener],
            "TLS__CA_FILE": str(self.certificates.ca) if "SSL" in LISTENERS[listener] else "",
        }
        return {f"WORKER_KAFKA__{name}": value for name, value in (known | settings).items()}


def _properties(
    addresses: Mapping[str, str], certificates: Certificates, keys: str, users: Mapping[str, str]
) -> dict[str, str]:
    listeners = {name: f"{name}://{address}" for name, address in addresses.items()}
    known = "".join(f' user_{name}="{password}"' for name, password in users.items())
    oauth = "listener.name.oauth.oauthbearer.sasl"
    return {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(listeners[n] for n in LISTENERS if n != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{n}:{p}" for n, p in LISTENERS.items()),
        "controller.quorum.bootstrap.servers": addresses["CONTROLLER"],
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates.broker.as_posix(),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.ca.as_posix(),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{_PLAIN} required{known};",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{oauth}.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
        f"{oauth}.server.callback.handler.class": f"{_OAUTH}.OAuthBearerValidatorCallbackHandler",
        # A client that does not sign in anew within this time is cut off.
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "2000",
        "sasl.oauthbearer.jwks.endpoint.url": keys,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "sasl.oauthbearer.expected.issuer": ISSUER,
    }


def _pkcs8(certificate: trustme.LeafCert, password: str | None = None) -> bytes:
    """The private key in the only form that Kafka reads (RFC 5208)."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
