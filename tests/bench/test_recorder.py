"""The recording proxy: what it passes on, and what it counts as a write."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from bench.lab.api import Credentials
from bench.lab.recorder import Recorder, Request, recording

NAMESPACED = "/apis/pointsman.dev/v1alpha1/namespaces/ml"


def request(method: str, path: str, query: str = "", at: float = 0.0) -> Request:
    return Request(at=at, method=method, path=path, query=query, status=200, body=b"")


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces/ml/services/churn", "services"),
        ("/api/v1/namespaces/ml", "namespaces"),
        (f"{NAMESPACED}/modelrevisions/churn-1/status", "modelrevisions/status"),
        ("/apis/pointsman.dev/v1alpha1/rolloutpolicies/careful/status", "rolloutpolicies/status"),
        ("/apis/apps/v1/namespaces/ml/deployments", "deployments"),
    ],
)
def test_a_request_is_about_a_resource(path: str, resource: str) -> None:
    assert request("PUT", path).resource == resource


@pytest.mark.parametrize(
    ("method", "query", "writes"),
    [
        ("GET", "", False),
        ("GET", "watch=true", False),
        ("PATCH", "fieldManager=pointsman", True),
        ("PATCH", "dryRun=All&fieldManager=pointsman", False),
        ("DELETE", "", True),
        ("POST", "", True),
        ("PUT", "", True),
    ],
)
def test_what_writes(method: str, query: str, *, writes: bool) -> None:
    assert request(method, f"{NAMESPACED}/modeldeployments/churn", query).writes is writes


def test_neither_the_lease_nor_what_is_somebody_elses_counts(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "kubeconfig", "ml")
    recorder.requests += [
        request("PUT", f"{NAMESPACED}/modeldeployments/churn/status", at=1.0),
        request("PUT", "/apis/coordination.k8s.io/v1/namespaces/ml/leases/pointsman", at=2.0),
        request("GET", f"{NAMESPACED}/modeldeployments/churn", at=2.5),
        request("PUT", f"{NAMESPACED}/modelrevisions/churn-1/status", at=3.0),
        request("PUT", "/apis/pointsman.dev/v1alpha1/rolloutpolicies/other/status", at=4.0),
    ]

    assert [one.at for one in recorder.writes()] == [1.0, 3.0]
    assert [one.at for one in recorder.writes(2.0)] == [3.0]
    assert [one.at for one in recorder.reads()] == [2.5]


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Stands for the API server: says back what it was asked, and streams three lines on `/watch`."""

    async def said(incoming: web.Request) -> web.Response:
        text = await incoming.text()
        return web.json_response(
            {"method": incoming.method, "query": incoming.query_string, "body": text}, status=201 if text else 200
        )

    async def stream(incoming: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(incoming)
        for number in range(3):
            await response.write(f"{number}\n".encode())
        return response

    application = web.Application()
    application.router.add_get("/watch", stream)
    application.router.add_route("*", "/{path:.*}", said)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_requests_pass_unchanged_and_are_recorded(server: str, tmp_path: Path) -> None:
    credentials = Credentials(server=server, tls=ssl.create_default_context())
    async with recording(credentials, tmp_path, "ml") as recorder, aiohttp.ClientSession() as session:
        proxy: str = yaml.safe_load(recorder.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        async with session.put(f"{proxy}{NAMESPACED}/modeldeployments/churn?force=true", data="{}") as answer:
            assert answer.status == 201
            said: dict[str, Any] = await answer.json()
        async with session.get(f"{proxy}/watch") as answer:
            lines = [line async for line in answer.content]

    assert said == {"method": "PUT", "query": "force=true", "body": "{}"}
    assert lines == [b"0\n", b"1\n", b"2\n"]
    assert [(one.method, one.status, one.body, one.writes) for one in recorder.requests] == [
        ("PUT", 201, b"{}", True),
        ("GET", 200, b"", False),
    ]
