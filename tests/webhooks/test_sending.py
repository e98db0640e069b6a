"""One delivery against a real HTTP server: what arrives, and every way in which it does not."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.shell import run
from pointsman.cluster.answers import Missing, Refused
from pointsman.cluster.kinds import Json
from pointsman.errors import Unavailable
from pointsman.rollout.plan import Notice
from pointsman.webhooks.sending import Sender, Undelivered
from tests.webhooks.endpoint import Endpoint

EVENT = {"specversion": "1.0", "id": "churn-2/1/Promoted/x", "data": {"message": "größer"}}


class Cluster:
    """Secrets."""

    def __init__(self) -> None:
        self.secrets: dict[str, Json | Exception] = {}

    async def get(self, namespace: str, name: str) -> Json:
        found = self.secrets.get(f"{namespace}/{name}", Missing("not found"))
        if isinstance(found, Exception):
            raise found
        return found

    def secret(self, value: bytes, key: str = "token") -> None:
        self.secrets["ml/hook"] = {"data": {key: base64.b64encode(value).decode()}}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def sender(cluster: Cluster) -> AsyncIterator[Sender]:
    made = Sender(cluster.get, seconds=2.0)
    yield made
    made.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as running:
        yield running


def notice(url: str, **changes: Any) -> Notice:
    return replace(Notice(id="1", webhook="w", url=url, allow_private=True, event=EVENT), **changes)


async def test_what_arrives_is_a_cloud_event(sender: Sender, endpoint: Endpoint) -> None:
    await sender.send(notice(endpoint.url + "?a=b%2Fc"))
    (request,) = endpoint.requests
    assert request.path == "/hook?a=b%2Fc"
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["Host"] == f"127.0.0.1:{endpoint.port}"
    assert "Authorization" not in request.headers
    assert json.loads(request.body) == EVENT


async def test_the_token_is_read_anew_at_every_delivery(sender: Sender, endpoint: Endpoint, cluster: Cluster) -> None:
    for token in (b"first\n", b"second"):
        cluster.secret(token)
        await sender.send(notice(endpoint.url, secret=("ml", "hook", "token")))
    assert [one.headers["Authorization"] for one in endpoint.requests] == ["Bearer first", "Bearer second"]


async def test_where_nothing_is_to_be_told_only_the_token_is_looked_for(
    sender: Sender, endpoint: Endpoint, cluster: Cluster
) -> None:
    asked = notice(endpoint.url, secret=("ml", "hook", "token"), event=None)
    with pytest.raises(Undelivered, match="there is no Secret"):
        await sender.send(asked)
    cluster.secret(b"hush")
    await sender.send(asked)
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("answer", "says", "after"),
    [
        ((500, {}, b""), "it answered 500", 0.0),
        ((401, {}, b"hush"), "it answered 401", 0.0),
        ((429, {"Retry-After": "30"}, b""), "it answered 429", 30.0),
        ((503, {"Retry-After": "999999"}, b""), "it answered 503", 3600.0),
        ((503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b""), "it answered 503", 0.0),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "redirects are not followed", 0.0),
    ],
)
async def test_an_answer_that_is_no_receipt(
    sender: Sender, endpoint: Endpoint, answer: tuple[int, dict[str, str], bytes], says: str, after: float
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(Undelivered, match=says) as failure:
        await sender.send(notice(endpoint.url))
    assert failure.value.after == after
    assert len(endpoint.requests) == 1


async def test_a_body_without_an_end_is_not_read(sender: Sender, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"Content-Length": str(10**12)}, b"x" * 10_000)]
    await sender.send(notice(endpoint.url))


async def test_who_does_not_answer_is_left_after_a_while(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender, began = Sender(cluster.get, seconds=0.2), time.monotonic()
        with pytest.raises(Undelivered, match=r"did not answer within 0\.2 s"):
            await sender.send(notice(f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        assert time.monotonic() - began < 2
        sender.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://2130706433/", "http://nobody.example.com/"])
async def test_nobody_there(sender: Sender, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, name)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    with pytest.raises(Undelivered, match=r"no answer|no such host"):
        await sender.send(notice(url))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebinding.example.com"])
async def test_no_private_address_by_whatever_name(
    sender: Sender, endpoint: Endpoint, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to a public address and a private one leads nowhere."""
    real = socket.getaddrinfo

    def find(name: str, port: int, *more: Any, **options: Any) -> Any:
        if name != "rebinding.example.com":
            return real(name, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port)) for at in ("93.184.216.34", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    with pytest.raises(Undelivered, match="is a private address: write `allowPrivate: true`"):
        await sender.send(notice(f"http://{host}:{endpoint.port}/", allow_private=False))
    assert endpoint.requests == []


async def test_it_connects_to_the_address_that_was_checked(
    sender: Sender, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second answer that leads elsewhere is never asked for."""
    asked: list[str] = []

    def find(name: str, port: int, *_: Any, **__: Any) -> Any:
        asked.append(name)
        at = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    await sender.send(notice(f"http://hooks.example.com:{endpoint.port}/hook"))
    assert asked == ["hooks.example.com"]
    assert endpoint.requests[0].headers["Host"] == f"hooks.example.com:{endpoint.port}"


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[Endpoint, Path]]:
    """An endpoint that says it is hooks.example.com, and the certificate that says so."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/CN=hooks.example.com", "-addext", "subjectAltName=DNS:hooks.example.com")
    run("openssl", *made, *named, "-keyout", str(key), "-out", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Endpoint(tls=tls) as running:
        yield running, certificate


@pytest.mark.parametrize(
    "case",
    [
        ("hooks.example.com", True, ""),
        ("hooks.example.com", False, "its certificate is not trusted"),
        ("other.example.com", True, "its certificate is not trusted"),
    ],
)
async def test_the_certificate_is_of_the_name_in_the_url(
    cluster: Cluster,
    encrypted: tuple[Endpoint, Path],
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, bool, str],
) -> None:
    (host, trusted, says), (endpoint, certificate) = case, encrypted
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", endpoint.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
    sender = Sender(cluster.get, seconds=5.0)
    expected = pytest.raises(Undelivered, match=says) if says else nullcontext()
    with expected:
        await sender.send(notice(f"https://{host}:{endpoint.port}/"))
    assert len(endpoint.requests) == (0 if says else 1)
    sender.close()


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (Missing("not found"), "there is no Secret ml/hook: create it, with the key 'token'"),
        (
            Refused("forbidden"),
            r"the operator may not read Secret ml/hook \(forbidden\); docs/notifications.md says how",
        ),
        (Unavailable("gone"), "Secret ml/hook is not known yet: gone"),
        ({"data": {"other": "aHVzaA=="}}, "Secret ml/hook has no key 'token': add it"),
        ({}, "has no key"),
        ({"data": {"token": "aHVzaA0KWDogMQ=="}}, "is no token: write one line of printable ASCII"),  # "hush\r\nX: 1"
        ({"data": {"token": ""}}, "is no token"),
        ({"data": {"token": "w7w="}}, "is no token"),
    ],
)
async def test_a_secret_that_cannot_be_used(
    sender: Sender, endpoint: Endpoint, cluster: Cluster, secret: Json | Exception, says: str
) -> None:
    cluster.secrets["ml/hook"] = secret
    with pytest.raises(Undelivered, match=says) as failure:
        await sender.send(notice(endpoint.url, secret=("ml", "hook", "token")))
    assert endpoint.requests == []
    assert "hush" not in str(failure.value)


async def test_what_is_said_of_a_failure_never_has_the_path(sender: Sender, endpoint: Endpoint) -> None:
    endpoint.answers = [(404, {}, b"")]
    for url in (f"{endpoint.url}/hush", "http://127.0.0.1:1/hush"):
        with pytest.raises(Undelivered) as failure:
            await sender.send(notice(url))
        assert "hush" not in str(failure.value)
