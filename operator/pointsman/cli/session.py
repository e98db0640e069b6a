"""One command's conversation with a cluster: who it is, which namespace, and every failure as one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pointsman import __version__
from pointsman.api.names import DEPLOYMENT
from pointsman.api.values import API_VERSION
from pointsman.cli import model
from pointsman.cli.faults import AbsentError, ClusterError
from pointsman.cli.model import Json, Model
from pointsman.cli.place import Place
from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect_as_person
from pointsman.cluster.kinds import EVENT, MODEL_DEPLOYMENT, MODEL_REVISION
from pointsman.errors import PointsmanError, Retryable, Terminal, Unavailable

T = TypeVar("T")


class Session:
    """The cluster, as a command asks it. Every method raises ClusterError or AbsentError."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def models(self, *, everywhere: bool) -> list[Model]:
        """All ModelDeployments (of the namespace), by namespace and name; without their revisions, which carry their evidence."""
        deployments = await self.client.list(MODEL_DEPLOYMENT, None if everywhere else self.namespace)
        return sorted(map(model.model, deployments.items), key=lambda one: (one.namespace, one.name))

    async def model(self, name: str) -> Model:
        """One of them."""
        return (await self._seen(name))[0]

    async def _seen(self, name: str) -> tuple[Model, str, str]:
        """The model, and the resourceVersions from which on it and its revisions are watched."""
        deployments = await self.client.list(MODEL_DEPLOYMENT, self.namespace, fields=f"metadata.name={name}")
        if not deployments.items:
            raise AbsentError(f"there is no ModelDeployment {name!r} in namespace {self.namespace!r}")
        revisions = await self.client.list(MODEL_REVISION, self.namespace, labels=f"{DEPLOYMENT}={name}")
        found = model.model(deployments.items[0], revisions.items)
        return found, deployments.resource_version, revisions.resource_version

    async def versions(self, name: str) -> AsyncIterator[Model]:
        """The model as it is, and again whenever it or one of its revisions has changed.

        A watch that ends begins anew, and a cluster that has answered once is waited for.
        """
        seen = await self._seen(name)
        while True:
            found, deployment, revisions = seen
            yield found
            await self._change(name, deployment, revisions)
            seen = await self._seen_again(name)

    async def _seen_again(self, name: str) -> tuple[Model, str, str]:
        while True:
            try:
                return await self._seen(name)
            except Retryable:
                await asyncio.sleep(_AGAIN)

    async def _change(self, name: str, deployment: str, revisions: str) -> None:
        bells = [
            asyncio.create_task(
                self.client.changed(MODEL_DEPLOYMENT, self.namespace, since=deployment, fields=f"metadata.name={name}")
            ),
            asyncio.create_task(
                self.client.changed(MODEL_REVISION, self.namespace, since=revisions, labels=f"{DEPLOYMENT}={name}")
            ),
        ]
        try:
            done, _ = await asyncio.wait(bells, return_when=asyncio.FIRST_COMPLETED)
            for bell in done:
                failure = bell.exception()
                if isinstance(failure, Retryable):
                    await asyncio.sleep(_AGAIN)
                elif failure is not None:
                    raise failure
        finally:
            for bell in bells:
                bell.cancel()
            await asyncio.gather(*bells, return_exceptions=True)

    async def events(self, name: str) -> list[Json]:
        """The Events about a model."""
        return list((await self.client.list(EVENT, self.namespace, fields=f"regarding.name={name}")).items)


_AGAIN = 1.0  # seconds until a cluster that did not answer is asked again


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Session]:
    """A session, closed at the end; what the cluster answers badly becomes a ClusterError."""
    try:
        person = await connect_as_person(
            place.kubeconfig or None, place.context or None, agent=f"pointsman-cli/{__version__}"
        )
    except Terminal as failure:
        raise ClusterError(str(failure)) from failure
    client = Client(person.api)
    try:
        yield Session(client, place.namespace or person.namespace)
    except PointsmanError as failure:
        raise ClusterError(await _sentence(client, person.api.configuration.host, failure)) from failure
    finally:
        await client.close()


def run(place: Place, do: Callable[[Session], Awaitable[T]]) -> T:
    """What `do` makes of a session."""

    async def asked() -> T:
        async with opened(place) as session:
            return await do(session)

    return asyncio.run(asked())


async def _sentence(client: Client, host: str, failure: PointsmanError) -> str:
    said = " ".join(str(failure).split())
    if isinstance(failure, Missing) and not await _served(client):
        return (
            f"the cluster at {host} has no Pointsman of this version ({API_VERSION}): install it with its CRDs, or name"
            " another cluster with --context"
        )
    if isinstance(failure, Unavailable) and "answered 401" in said:
        return f"the cluster at {host} does not know you (401 Unauthorized): log in again, or name other credentials with --context"
    if isinstance(failure, Unavailable):
        return f"cannot reach the cluster at {host}: {said}"
    return f"the cluster at {host} says no: {said}" if "forbidden" in said else said


async def _served(client: Client) -> bool:
    """Whether the API server serves our kinds."""
    try:
        await client.probe(MODEL_DEPLOYMENT, "default")
    except Missing:
        return False
    except PointsmanError:
        return True  # it is not about that
    return True
