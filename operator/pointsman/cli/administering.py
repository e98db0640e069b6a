"""Puts the CRDs of this version into a cluster, and finds out whether an installation can work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import typer

from pointsman.api import crd
from pointsman.api.values import GROUP
from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect
from pointsman.cluster.kinds import CUSTOM_RESOURCE, MODEL_RUNTIME, ROLLOUT_POLICY
from pointsman.errors import Conflict, PointsmanError, Retryable
from pointsman.prometheus.credentials import Credentials
from pointsman.prometheus.reader import Reader
from pointsman.signals.queries import Query
from pointsman.signals.samples import Failed

_MANAGER: Final = "helm"
"""Who owns the CRDs' fields: who installs them from the chart's `crds/`. Another name would be a conflict for the next `helm install`."""

_PAUSE: Final = 0.2  # seconds between two questions
_OK: Final = 200
_ANSWERS: Final = Query("vector(1)", about="Prometheus itself")
_SCRAPED: Final = Query('count(up{pointsman_dev_revision!=""})', about="the models' pods")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What there is to check; empty: nothing of it."""

    kubeconfig: str | None
    operator: str
    prometheus_url: str
    credentials: Credentials


class _NotReadyError(Exception):
    """What is checked does not work; the message says what to look at."""


def apply_crds(kubeconfig: str | None, timeout: float) -> int:
    """Apply the CRDs and wait until they are served, in so many seconds; the exit status."""
    return asyncio.run(_apply_crds(kubeconfig, timeout))


def check(request: Request) -> int:
    """Check an installation and say what was found; the exit status."""
    return asyncio.run(_check(request))


async def _apply_crds(kubeconfig: str | None, seconds: float) -> int:
    try:
        async with asyncio.timeout(seconds), _connected(kubeconfig) as client:
            for kind in crd.kinds():
                definition = crd.definition(kind)
                typer.echo(f"{definition['metadata']['name']} {await _persistently(client, definition)}")
            for kind in crd.kinds():
                await _served(client, f"{kind.plural}.{GROUP}")
    except PointsmanError as failure:
        typer.echo(f"the CRDs cannot be applied: {failure}", err=True)
        return 1
    except TimeoutError:
        typer.echo(f"the API server does not serve the CRDs within {seconds:g} s", err=True)
        return 1
    return 0


async def _persistently(client: Client, definition: dict[str, Any]) -> str:
    """Apply it, whoever else writes it meanwhile or however often the API server is busy; what that did."""
    while True:
        try:
            return await _applied(client, definition)
        except Conflict:
            continue
        except Retryable as failure:
            typer.echo(str(failure), err=True)
            await asyncio.sleep(_PAUSE)


async def _applied(client: Client, definition: dict[str, Any]) -> str:
    try:
        seen = await client.get(CUSTOM_RESOURCE, None, definition["metadata"]["name"])
    except Missing:
        await client.create(definition, manager=_MANAGER)
        return "created"
    meta = seen["metadata"]
    guard = {"uid": meta["uid"], "resource_version": meta["resourceVersion"]}
    answer = await client.apply(definition, **guard, manager=_MANAGER)
    return "is the same" if answer["metadata"]["generation"] == meta["generation"] else "changed"


async def _served(client: Client, name: str) -> None:
    while True:
        conditions = (await client.get(CUSTOM_RESOURCE, None, name)).get("status", {}).get("conditions", [])
        if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
            return
        await asyncio.sleep(_PAUSE)


async def _check(request: Request) -> int:
    checks: dict[str, Callable[[], Awaitable[str]]] = {"API server": lambda: _kinds(request)}
    if request.operator:
        checks["operator"] = lambda: _operator(request)
    if request.prometheus_url:
        checks["Prometheus"] = lambda: _prometheus(request)
    failed = 0
    for what, found in checks.items():
        try:
            typer.echo(f"ok      {what}: {await found()}")
        except (PointsmanError, _NotReadyError, ValueError) as failure:
            failed += 1
            typer.echo(f"FAILED  {what}: {failure}")
    return 1 if failed else 0


async def _kinds(request: Request) -> str:
    async with _connected(request.kubeconfig) as client:
        runtimes = len((await client.list(MODEL_RUNTIME)).items)
        policies = len((await client.list(ROLLOUT_POLICY)).items)
    return f"the kinds are served; there are {runtimes} ModelRuntimes and {policies} RolloutPolicies"


async def _operator(request: Request) -> str:
    url = f"{request.operator.rstrip('/')}/readyz"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(url) as answer,
        ):
            said = (await answer.text()).strip()
            if answer.status == _OK:
                return said
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:
        raise _NotReadyError(
            f"{url} does not answer ({failure or type(failure).__name__}): look at the operator's pods and logs, and at"
            " NetworkPolicies between this pod and them"
        ) from failure
    raise _NotReadyError(f"it is not ready: {said}")


async def _prometheus(request: Request) -> str:
    reader = Reader(request.prometheus_url, credentials=request.credentials)
    try:
        answers = await reader.read([_ANSWERS, _SCRAPED], datetime.now(UTC))
    finally:
        await reader.close()
    answer, scraped = answers[_ANSWERS], answers[_SCRAPED]
    if isinstance(answer, Failed):
        raise _NotReadyError(answer.reason)
    pods = 0 if isinstance(scraped, Failed) or not scraped else int(scraped[0].value)
    return f"it answers, and scrapes {pods} pods of models with the label pointsman_dev_revision"


@asynccontextmanager
async def _connected(kubeconfig: str | None) -> AsyncIterator[Client]:
    client = Client(await connect(kubeconfig))
    try:
        yield client
    finally:
        await client.close()
