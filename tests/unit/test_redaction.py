from __future__ import annotations

import pytest

from worker.redaction import REDACTED, without_secrets

CANARY = "canary%2Bof/a+secret=="


@pytest.mark.parametrize(
    "text",
    [
        "https://user:{}@host.example/a.jpg",
        "amqp://{}@host.example",
        "https://user:with@{}@host.example/",
        "cannot connect to http://proxy-user:{}@proxy.example:3128",
        "https://bucket.example/a.jpg?X-Amz-Signature={}",
        "https://bucket.example/a.jpg?a=b&sig={}&c=d",
        "HTTPS://BUCKET.EXAMPLE/a.jpg?AWSAccessKeyId=a&Signature={}",
        "https://host.example/#access_token={}",
        "https://host.example/a?b#access_token={}",
        "GET /a.jpg?X-Amz-Credential=a%2Fb&X-Amz-Signature={}&x=1 HTTP/1.1",
        "GET /a.jpg?X-Amz-Security-Token={} HTTP/1.1",
        "GET /a.jpg?se=2026&sp=r&sig={}",
        "GET /a.jpg?X-Goog-Signature={}",
        "Location: /a.jpg?key={}",
        "grant_type=client_credentials&client_secret={}",
        "kafka: ScramLoginModule required username='a' password='{}';",
        'password="{}"',
        "AccountName=a;AccountKey=b;SharedAccessSignature={}",
        "{{'Authorization': 'Bearer {}'}}",
        "Authorization: Basic {}",
        "Proxy-Authorization: {}",
        "authorization=Bearer {}",
        '"authorization":"{}"',
        "<CIMultiDict('Authorization': b'Bearer {}')>",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    secret = CANARY.replace("/", "%2F") if "@" in text else CANARY
    redacted = without_secrets(text.format(secret))
    assert "canary" not in redacted
    assert REDACTED in redacted
    assert without_secrets(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "https://host.example/a/b.jpg",
        "write to a@host.example",
        "kafka.sasl.password is missing: set WORKER_KAFKA__SASL__PASSWORD_FILE",
        "PLAIN needs sasl.username and sasl.password",
        "the token endpoint answered 401",
        "Authorization is not accepted",
        "signature: (int, str) -> None",
        "is it so? a=b&c=d",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text
