"""Which headers of a mirrored request go on to the versions."""

from __future__ import annotations

import pytest

from pointsman.inspector.headers import forwarded, original

ANSWERED_PLAIN = ("Accept-Encoding", "identity")


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "api-key", "X-Auth-Token", "X-Amz-Security-Token", "X-Goog-Api-Key",
        "Ocp-Apim-Subscription-Key", "X-CSRF-Token", "X-Forwarded-Client-Cert", "X-Session-Id", "X-Amzn-Oidc-Identity-Assertion",
        "X-JWT-Payload", "X-Hub-Signature",
    ],
)  # fmt: skip
def test_credentials_stay_here_unless_they_are_asked_for(name: str) -> None:
    assert forwarded([(name, "secret")], ()) == [ANSWERED_PLAIN]
    assert forwarded([(name, "secret")], {name.lower()}) == [(name, "secret"), ANSWERED_PLAIN]


def test_what_belongs_to_the_connection_stays_here() -> None:
    headers = [
        ("Connection", "keep-alive, X-Of-This-Hop"),
        ("X-Of-This-Hop", "1"),
        ("Keep-Alive", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "2"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
        ("Accept-Encoding", "br"),
        ("Host", "churn.example.com-shadow"),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("X-Tenant", "acme"),
        ("X-Tenant", "two"),
    ]
    assert forwarded(headers, ()) == [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("X-Tenant", "acme"),
        ("X-Tenant", "two"),
        ("Host", "churn.example.com"),
        ANSWERED_PLAIN,
    ]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "\x00", "\udcff"])
def test_what_cannot_be_sent_is_left_out(value: str) -> None:
    assert forwarded([("X-Odd", value)], ()) == [ANSWERED_PLAIN]


@pytest.mark.parametrize(
    ("sent", "host"),
    [
        ("churn.example.com-shadow", "churn.example.com"),
        ("churn.example.com-shadow:8080", "churn.example.com:8080"),
        ("churn.example.com", "churn.example.com"),
        ("churn.example.com:8080", "churn.example.com:8080"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]:80"),
    ],
)
def test_the_host_is_the_users(sent: str, host: str) -> None:
    assert original(sent) == host
