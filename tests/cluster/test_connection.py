"""What a pod is given to reach the API server is replaced while it runs: the token and the certificate authority."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hack.cluster.shell import run
from pointsman.cluster import connection
from pointsman.cluster.client import Client
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, Json
from pointsman.errors import Terminal, Unavailable

FIRST, SECOND = "first", "second"  # tokens


class Server:
    """An API server that knows one token, and serves with one certificate."""

    def __init__(self, folder: Path) -> None:
        self.token = FIRST
        self.port = 0
        self._folder = folder
        self._runner: web.AppRunner | None = None

    def authority(self, name: str) -> Path:
        """A certificate authority, and a key pair of the server's that is signed by it."""
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        files = ("-keyout", f"{name}.ca.key", "-out", f"{name}.ca.crt", "-subj", f"/CN={name}")
        run("openssl", "req", "-x509", *key, *files, *usage, cwd=self._folder)
        signed = ("-CA", f"{name}.ca.crt", "-CAkey", f"{name}.ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=server")
        plain = ("-addext", "basicConstraints=critical,CA:FALSE")
        run("openssl", "req", "-x509", *key, *files, *signed, *plain, cwd=self._folder)
        return self._folder / f"{name}.ca.crt"

    async def serve(self, name: str) -> None:
        """Serve with the certificate of this name, on the same port as before; kept connections are closed."""
        await self.stop()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        return web.json_response({"metadata": {"name": "churn"}})


class Pod:
    """The folder of a pod's service account, written as a kubelet does: all of it anew, and then switched to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("token", "ca.crt"):
            (folder / name).symlink_to(Path("..data", name))

    def is_given(self, *, token: str, authority: Path) -> None:
        data = self.folder / f"..{time.time_ns()}"
        data.mkdir()
        (data / "token").write_text(token)
        (data / "ca.crt").write_bytes(authority.read_bytes())
        (self.folder / "..new").symlink_to(data.name)
        (self.folder / "..new").rename(self.folder / "..data")


class _Deaf:
    """Nobody wants to know."""

    def heard(self, path: str) -> None:
        pass

    def listed(self, path: str, answer: Json, *, first: bool) -> None:
        pass


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    made = Pod(tmp_path / "serviceaccount")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", made.folder)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    return made


@asynccontextmanager
async def serving(folder: Path, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, Any, Client]]:
    server = Server(folder)
    pod.is_given(token=FIRST, authority=server.authority("one"))
    await server.serve("one")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    api = await connection.connect()
    client = Client(api)
    try:
        yield server, api, client
    finally:
        await client.close()
        await server.stop()


async def asks(client: Client) -> str:
    name: str = (await client.get(MODEL_DEPLOYMENT, "ml", "churn"))["metadata"]["name"]
    return name


async def test_a_token_that_was_replaced_is_used_from_the_next_request_on(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, pod, monkeypatch) as (server, api, client):
        assert await asks(client) == "churn"
        server.token = SECOND
        with pytest.raises(Unavailable, match="401"):
            await asks(client)
        pod.is_given(token=f"{SECOND}\n", authority=tmp_path / "one.ca.crt")
        assert await asks(client) == "churn"
        assert await connection.authorization(api) == {"authorization": f"Bearer {SECOND}"}


async def test_an_authority_that_was_replaced_is_trusted_from_the_next_request_on(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(tmp_path, pod, monkeypatch) as (server, api, client),
        await connection.watching_session(api, _Deaf()) as session,
    ):
        url = f"https://127.0.0.1:{server.port}/apis"
        assert (await session.get(url)).ok
        other = server.authority("two")
        await server.serve("two")
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await asks(client)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)
        pod.is_given(token=FIRST, authority=other)
        assert await asks(client) == "churn"
        assert (await session.get(url)).ok  # what Kopf watches by, too


@pytest.mark.parametrize("content", ["", "no certificate"])
async def test_a_file_that_cannot_be_used_changes_nothing(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    async with serving(tmp_path, pod, monkeypatch) as (_, _, client):
        assert await asks(client) == "churn"
        broken = tmp_path / "broken"
        broken.write_text(content)
        pod.is_given(token="", authority=broken)
        assert await asks(client) == "churn"


async def test_without_a_pod_or_a_kubeconfig_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Terminal, match="run in a pod, or set --kubeconfig or KUBECONFIG"):
        await connection.connect()
