"""A bare client of the API server: JSON over kept connections, and a watch that says when each event arrived."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_PLURALS = {
    "Deployment": "deployments",
    "Gateway": "gateways",
    "GatewayClass": "gatewayclasses",
    "HTTPRoute": "httproutes",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "ModelDeployment": "modeldeployments",
    "ModelRevision": "modelrevisions",
    "ModelRuntime": "modelruntimes",
    "Namespace": "namespaces",
    "Pod": "pods",
    "RolloutPolicy": "rolloutpolicies",
    "Service": "services",
}
_API_VERSIONS = {
    "Deployment": "apps/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "GatewayClass": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ModelDeployment": "pointsman.dev/v1alpha1",
    "ModelRevision": "pointsman.dev/v1alpha1",
    "ModelRuntime": "pointsman.dev/v1alpha1",
    "RolloutPolicy": "pointsman.dev/v1alpha1",
}
_CLUSTER_SCOPED = frozenset({"GatewayClass", "ModelRuntime", "Namespace", "RolloutPolicy"})
_MANAGER = "bench"
_PATIENCE = 10  # times: a kind whose CRD was just changed answers 429 for a moment


class ApiError(Exception):
    """The API server refused a request; carries its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def path(kind: str, namespace: str | None = None, *more: str) -> str:
    """The URL path of all objects of a kind (in a namespace), or with `more` of one of them or its subresource."""
    version = _API_VERSIONS.get(kind, "v1")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{namespace}" if namespace and kind not in _CLUSTER_SCOPED else ""
    return "/".join((f"{root}{scope}/{_PLURALS[kind]}", *more))


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where the API server is, and how to prove who we are."""

    server: str
    tls: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: Path) -> Credentials:
        """Those of a kubeconfig that holds its certificates itself."""
        said = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.TemporaryDirectory() as folder:  # Python reads a client's certificate from files only
            files = [Path(folder) / key for key in ("client-certificate-data", "client-key-data")]
            for file in files:
                file.write_bytes(base64.b64decode(user[file.name]))
            context.load_cert_chain(files[0], files[1])
        return cls(server=cluster["server"], tls=context)


class Api:
    """The API server."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    @classmethod
    @asynccontextmanager
    async def open(cls, credentials: Credentials, connections: int = 32) -> AsyncIterator[Api]:
        """A client with its own connections."""
        connector = aiohttp.TCPConnector(limit=connections, ssl=credentials.tls)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=2**21) as session:
            yield cls(session, credentials.server)

    async def send(  # a request has these parts
        self, method: str, where: str, body: Json | None = None, *, content: str = "application/json", **query: str
    ) -> Json:
        """Send a request and return the answer; again where the API server says that it is not ready. Raises ApiError."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content}
        for patience in range(_PATIENCE, -1, -1):
            async with self._session.request(
                method, self._server + where, data=data, headers=headers, params=query
            ) as answer:
                text = await answer.read()
                if answer.ok:
                    break
                if answer.status != HTTPStatus.TOO_MANY_REQUESTS or not patience:
                    raise ApiError(answer.status, text.decode(errors="replace")[:500])
                await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
        said: Json = json.loads(text)
        return said

    async def apply(self, obj: Json) -> Json:
        """Server-side apply."""
        where = path(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
        return await self.send("PATCH", where, obj, content=APPLY, fieldManager=_MANAGER, force="true")

    async def merge(self, kind: str, namespace: str | None, *more: str, patch: Json) -> Json:
        """Merge a patch into an object or its subresource."""
        return await self.send("PATCH", path(kind, namespace, *more), patch, content=MERGE, fieldManager=_MANAGER)

    async def list(self, kind: str, namespace: str | None = None) -> Json:
        """All objects of a kind, as a list."""
        return await self.send("GET", path(kind, namespace))

    async def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Delete an object; one that is gone is deleted."""
        try:
            await self.send("DELETE", path(kind, namespace, name))
        except ApiError as error:
            if error.status != 404:
                raise

    async def watch(self, kind: str, namespace: str | None, version: str) -> AsyncIterator[tuple[str, Json, float]]:
        """Events after a resourceVersion: type, object, and when it arrived by `time.perf_counter`."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
        timeout = aiohttp.ClientTimeout(total=None)
        url = self._server + path(kind, namespace)
        async with self._session.get(url, params=query, timeout=timeout) as answer:
            async for line in answer.content:
                arrived = time.perf_counter()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 0), event["object"].get("message", ""))
                yield event["type"], event["object"], arrived


Objects = Mapping[str, Json]


@dataclass(kw_only=True)
class _Waiter:
    holds: Callable[[Objects], object]
    future: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Mirror:
    """All objects of a kind in a namespace as a watch shows them, by name; `heard` is when the last event arrived."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: dict[str, Json] = {}
        self.heard = time.perf_counter()
        self._waiters: list[_Waiter] = []
        self._listeners: list[Callable[[str, Json], None]] = []
        self._failure: Exception | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, api: Api, kind: str, namespace: str) -> AsyncIterator[Mirror]:
        """Mirror a kind until the end of the block."""
        mirror = cls(kind)
        listing = await api.list(kind, namespace)
        mirror.objects.update({item["metadata"]["name"]: item for item in listing["items"]})
        following = asyncio.create_task(mirror._follow(api, namespace, listing["metadata"]["resourceVersion"]))
        try:
            yield mirror
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    def listen(self, listener: Callable[[str, Json], None]) -> None:
        """Call `listener(type, object)` with what is there, as ADDED, and with every event from now on."""
        for obj in self.objects.values():
            listener("ADDED", obj)
        self._listeners.append(listener)

    async def until(self, holds: Callable[[Objects], object], *, what: str, seconds: float = 60.0) -> float:
        """When the event arrived that made it true, by `time.perf_counter`; now, where it is true already.

        Raises:
            TimeoutError: it did not become true; names `what` was waited for.
        """
        if self._failure is not None:
            raise self._failure
        if holds(self.objects):
            return time.perf_counter()
        waiter = _Waiter(holds=holds)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.future
        except TimeoutError:
            raise TimeoutError(f"after {seconds:g} s still not: {what}") from None
        finally:
            self._waiters.remove(waiter)

    async def each(
        self, names: Iterable[str], holds: Callable[[Json], object], *, what: str, seconds: float = 60.0
    ) -> dict[str, float]:
        """When it became true of each of these objects, as `until`; looks at every object only when it changes."""
        left, found = set(names), dict[str, float]()

        def seen(_type: str, obj: Json) -> None:
            name = obj["metadata"]["name"]
            if name in left and holds(obj):
                left.discard(name)
                found[name] = self.heard

        self.listen(seen)
        try:
            await self.until(lambda _objects: not left, what=what, seconds=seconds)
        except TimeoutError as late:
            raise TimeoutError(f"{late}; {len(left)} are missing, such as {min(left)}") from None
        finally:
            self._listeners.remove(seen)
        return found

    async def _follow(self, api: Api, namespace: str, version: str) -> None:
        try:
            while True:  # the API server ends the watch of who does not keep up; it goes on from where it was
                async for type_, obj, arrived in api.watch(self.kind, namespace, version):
                    version = obj["metadata"]["resourceVersion"]
                    self._take(type_, obj, arrived)
        except (aiohttp.ClientError, ApiError, ValueError) as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        """Nobody may wait for what can no longer be seen."""
        self._failure = failure
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(failure)

    def _take(self, type_: str, obj: Json, arrived: float) -> None:
        name = obj["metadata"]["name"]
        if type_ == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = obj
        self.heard = arrived
        for listener in tuple(self._listeners):
            listener(type_, obj)
        for waiter in self._waiters:
            if not waiter.future.done() and waiter.holds(self.objects):
                waiter.future.set_result(arrived)
