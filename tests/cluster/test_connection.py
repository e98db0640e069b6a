"""What a pod is given to reach the API server is replaced while it runs: the token and the certificate authority."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pointsman.cluster import connection
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, Json
from pointsman.errors import Terminal, Unavailable
from tests.cluster.service_account import Authorities, ServiceAccount

FIRST, SECOND = "first", "second"  # tokens


class Server:
    """An API server that knows one token, and serves with one certificate."""

    def __init__(self, authorities: Authorities) -> None:
        self.token = FIRST
        self.port = 0
        self._authorities = authorities
        self._runner: web.AppRunner | None = None

    async def serve(self, name: str) -> None:
        """Serve with the certificate of this name, on the same port as before; kept connections are closed."""
        await self.stop()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        tls = self._authorities.serving(name)
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").lower() != f"bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        return web.json_response({"metadata": {"name": "churn"}})


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod whose API server is the test's."""

    account: ServiceAccount
    authorities: Authorities
    server: Server
    api: Any
    client: Client


class _Deaf:
    """Nobody wants to know."""

    def heard(self, path: str) -> None:
        pass

    def listed(self, path: str, answer: Json, *, first: bool) -> None:
        pass


@pytest.fixture
async def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    account, authorities = ServiceAccount(tmp_path / "serviceaccount"), Authorities(tmp_path)
    account.is_given(token=FIRST, authority=authorities.make("one"))
    server = Server(authorities)
    await server.serve("one")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", account.folder)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    api = await connection.connect()
    client = Client(api)
    yield Pod(account=account, authorities=authorities, server=server, api=api, client=client)
    await client.close()
    await server.stop()


async def asks(pod: Pod) -> str:
    name: str = (await pod.client.get(MODEL_DEPLOYMENT, "ml", "churn"))["metadata"]["name"]
    return name


async def test_a_token_that_was_replaced_is_used_from_the_next_request_on(pod: Pod) -> None:
    assert await asks(pod) == "churn"
    pod.server.token = SECOND
    with pytest.raises(Unavailable, match="401"):
        await asks(pod)
    pod.account.is_given(token=f"{SECOND}\n", authority=pod.authorities.certificate("one"))
    assert await asks(pod) == "churn"
    assert await connection.authorization(pod.api) == {"authorization": f"Bearer {SECOND}"}


async def test_an_authority_that_was_replaced_is_trusted_from_the_next_request_on(pod: Pod) -> None:
    async with await connection.watching_session(pod.api, _Deaf()) as session:
        url = f"https://127.0.0.1:{pod.server.port}/apis"
        assert (await session.get(url)).ok
        other = pod.authorities.make("two")
        await pod.server.serve("two")
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await asks(pod)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)
        pod.account.is_given(token=FIRST, authority=other)
        assert await asks(pod) == "churn"
        assert (await session.get(url)).ok  # what Kopf watches by, too


@pytest.mark.parametrize("content", ["", "no certificate"])
async def test_a_file_that_cannot_be_used_changes_nothing(pod: Pod, tmp_path: Path, content: str) -> None:
    assert await asks(pod) == "churn"
    broken = tmp_path / "broken"
    broken.write_text(content)
    pod.account.is_given(token="", authority=broken)
    assert await asks(pod) == "churn"


async def test_without_a_pod_or_a_kubeconfig_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Terminal, match="run in a pod, or set --kubeconfig or KUBECONFIG"):
        await connection.connect()
