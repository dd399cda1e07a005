"""Which headers of a job its result carries, and which never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tests.support.messages import FAILURE, RECORD, SUCCESS, result
from tests.support.paths import ROOT
from worker.contract.copied_headers import SECRET_HEADERS
from worker.contract.dead_letters import dead_letter_message

SECRET = [
    # RFC 9110, RFC 6265, gateways and clouds.
    "authorization", "proxy-authorization", "x-forwarded-authorization", "authentication-info",
    "www-authenticate", "proxy-authenticate", "cookie", "cookie2", "set-cookie", "set-cookie2",
    "api-key", "apikey", "x-api-key", "x-api-token", "x-api-secret", "x-auth-key",
    "x-auth-token", "auth-token", "x-access-token", "access-token", "refresh-token",
    "x-refresh-token", "id-token", "x-id-token", "x-session-token", "x-session-id",
    "session-id", "x-csrf-token", "x-xsrf-token", "csrf-token", "token", "x-token", "secret",
    "x-secret", "client-secret", "x-client-secret", "password", "x-password", "credentials",
    "x-credentials", "bearer", "jwt", "x-jwt", "x-jwt-assertion", "dpop", "private-token",
    "job-token", "x-service-token", "x-user-token", "x-vault-token", "x-consul-token",
    "x-github-token", "x-gitlab-token", "x-shopify-access-token", "x-amz-security-token",
    "x-amzn-oidc-accesstoken", "x-amzn-oidc-data", "x-goog-api-key", "x-goog-iap-jwt-assertion",
    "x-goog-iam-authorization-token", "x-ms-authorization-auxiliary",
    "x-ms-token-aad-access-token", "x-ms-token-aad-id-token", "x-ms-token-aad-refresh-token",
    "x-functions-key", "ocp-apim-subscription-key", "x-forwarded-access-token",
    "cf-access-token", "cf-access-jwt-assertion", "cf-access-client-secret",
    # The same behind what a bridge from HTTP, or a program, puts before or after.
    "http-authorization", "http.authorization", "http.header.authorization",
    "x-original-authorization", "authorization ", "kafka:authorization", "http-cookie",
    "x-auth", "x-amz-credential", "db-password", "user.passwd", "x.api.key", "ssh-private-key",
    "x-aws-access-key",
]  # fmt: skip


def test_result_headers_copy_what_the_producer_may_need_and_nothing_that_would_lie() -> None:
    assert result(SUCCESS).headers == (
        ("content-type", b"application/json"),
        ("result-id", b"image-jobs-3-42"),
        ("source-topic", b"image-jobs"),
        ("source-partition", b"3"),
        ("source-offset", b"42"),
        ("source-timestamp", b"1795486969572"),
        ("correlation-id", b"c-1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-tenant", b"\xff\x00"),
        ("x-tenant", b"second"),
        ("certificate", b"ceremonial"),
    )


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize(
    "spell",
    [str.lower, str.upper, str.title, lambda name: name.replace("-", "_").title()],
    ids=["lower", "upper", "title", "underscored"],
)
def test_no_result_holds_a_secret_header_and_its_dead_letter_holds_all(
    name: str, spell: Callable[[str], str]
) -> None:
    headers = ((spell(name), b"canary"), ("tracestate", b"kept"))
    record = replace(RECORD, headers=headers)
    for outcome in (SUCCESS, FAILURE):
        message = result(outcome, record=record)
        assert message.headers[6:] == (("tracestate", b"kept"),)
        assert b"canary" not in (message.value or b"")
    # Put back into the jobs topic it is the same job.
    assert dead_letter_message(record, None, FAILURE).headers[:2] == headers


def test_the_schema_lists_the_headers_that_are_never_copied() -> None:
    schema = orjson.loads((ROOT / "schemas/result.schema.json").read_bytes())
    listed = schema["$defs"]["headers"]["description"].partition("end in one of: ")[2]
    assert listed.rstrip(".").split(", ") == sorted(SECRET_HEADERS)


def test_copied_headers_are_bounded_in_size_and_number() -> None:
    many = tuple((f"h{i}", b"x") for i in range(100))
    record = replace(RECORD, headers=(("big", b"x" * 4094), ("fits", b"x" * 4092), *many))
    copied = [name for name, _ in result(SUCCESS, record=record).headers[6:]]
    assert copied == ["fits", *(f"h{i}" for i in range(63))]
