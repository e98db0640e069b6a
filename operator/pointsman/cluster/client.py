"""Requests to the API server with plain dicts: get, list, server-side apply, status and delete, each with its guard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient
from pydantic_core import from_json

from pointsman.api.names import MANAGER
from pointsman.cluster.answers import Broke, error
from pointsman.cluster.connection import authorization
from pointsman.cluster.kinds import Json, Kind, kind_of
from pointsman.errors import Conflict, Retryable, Unavailable

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
PAGE = 500  # objects of one answer to a list
_TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
_LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)

Tally = Callable[[str, str, int], None]
"""Called with the verb, the kind and the HTTP status of every request (0: no answer)."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of the objects of a kind at one moment; `following` leads to the next, empty on the last."""

    items: tuple[dict[str, Any], ...]
    resource_version: str
    following: str

    @classmethod
    def of(cls, answer: Json) -> Page:
        """The answer to a list."""
        meta = answer["metadata"]
        return cls(
            items=tuple(answer["items"] or ()),
            resource_version=meta["resourceVersion"],
            following=meta.get("continue") or "",
        )


@dataclass(frozen=True, kw_only=True)
class _Request:
    verb: str
    kind: Kind
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = "application/json"
    timeout: aiohttp.ClientTimeout = _TIMEOUT


_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "apply": "PATCH",
    "patch": "PATCH",
    "update": "PUT",
    "delete": "DELETE",
}


class Client:
    """The API server, over one pool of connections.

    Every method raises Conflict, Unavailable (Busy) or Refused (Missing, Taken), see answers.py.
    """

    def __init__(
        self,
        api: ApiClient,
        tally: Tally = lambda _verb, _kind, _status: None,
        *,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._guard = guard  # asked before every write; what it raises, the write raises
        self._transport: Any = api.rest_client  # its methods have no types
        self._tally = tally

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any]:
        """The object as it is now."""
        return await self._send(_Request(verb="get", kind=kind, path=kind.path(namespace, name)))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> Page:
        """All objects of a kind (in a namespace, with these labels and fields), as one page."""
        pages = [page async for page in self.pages(kind, namespace, labels=labels, fields=fields)]
        return replace(pages[-1], items=tuple(item for page in pages for item in page.items))

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> AsyncIterator[Page]:
        """The same, some at a time."""
        query = {"limit": str(PAGE), **_selected(labels, fields)}
        while True:
            answer = await self._send(
                _Request(verb="list", kind=kind, path=kind.path(namespace), query=query, timeout=_LIST_TIMEOUT)
            )
            page = Page.of(answer)
            yield page
            if not page.following:
                return
            query["continue"] = page.following

    async def changed(
        self, kind: Kind, namespace: str, *, since: str, labels: str | None = None, fields: str | None = None
    ) -> None:
        """Wait until any of them is another than at the resourceVersion `since`, or the API server ends the watch."""
        query = {"watch": "1", "resourceVersion": since, **_selected(labels, fields)}
        request = _Request(verb="list", kind=kind, path=kind.path(namespace), query=query, timeout=_WATCH_TIMEOUT)
        with _answering(request):
            answer = await self._open(request)
            try:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise error(answer.status, dict(answer.headers), await answer.read())
                await answer.content.readany()  # a change, whatever it is, or the end
            finally:
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()  # to say goodbye over TLS may outlast us
                answer.close()

    async def probe(self, kind: Kind, namespace: str | None = None) -> None:
        """Whether a kind can be listed: Missing where it is not served, Refused where we may not."""
        await self._send(_Request(verb="list", kind=kind, path=kind.path(namespace), query={"limit": "1"}))

    async def create(self, obj: Json, *, manager: str = MANAGER) -> dict[str, Any]:
        """Server-side apply of what is not there. Not by force: Taken where somebody else's object is in the way.

        An apply with an unknown field, or a quantity that is none, is answered by 500 as if the server had failed: a strict
        dry run tells whether it is the object's fault, and says which field it is (Refused).
        """
        try:
            return await self._apply(obj, {"fieldManager": manager, "force": "false"})
        except Broke:
            with contextlib.suppress(Retryable):
                await self.rehearse(obj, obj["metadata"].get("namespace"))
            raise

    async def rehearse(self, obj: Json, namespace: str | None) -> None:
        """Create it, or replace what is there, but for the creating and replacing; unknown fields are Refused."""
        kind = kind_of(obj)
        query = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": MANAGER}
        try:
            await self._send(_Request(verb="create", kind=kind, path=kind.path(namespace), query=query, body=obj))
        except Conflict:  # it is there: what would it be in its place?
            seen = await self.get(kind, namespace, obj["metadata"]["name"])
            identity = {key: seen["metadata"][key] for key in ("uid", "resourceVersion")}
            body = {**obj, "metadata": {**obj["metadata"], **identity}}
            path = kind.path(namespace, obj["metadata"]["name"])
            await self._send(_Request(verb="update", kind=kind, path=path, query=query, body=body))

    async def apply(self, obj: Json, *, uid: str, resource_version: str, manager: str = MANAGER) -> dict[str, Any]:
        """Server-side apply of what was seen; Conflict if it changed since.

        The uid is what makes it a Conflict if the object is gone: with a resourceVersion alone it would be created.
        """
        guard = {"uid": uid, "resourceVersion": resource_version}
        guarded = {**obj, "metadata": {**obj["metadata"], **guard}}
        return await self._apply(guarded, {"fieldManager": manager, "force": "true"})

    async def _apply(self, obj: Json, query: Mapping[str, str]) -> dict[str, Any]:
        kind, meta = kind_of(obj), obj["metadata"]
        path = kind.path(meta.get("namespace"), meta["name"])
        return await self._send(
            _Request(verb="apply", kind=kind, path=path, query=query, body=obj, content_type=_APPLY)
        )

    async def update_status(self, seen: Json, status: Json) -> dict[str, Any]:
        """Replace the status of an object as it was seen: fields that `status` does not have are gone afterwards."""
        kind, meta = kind_of(seen), seen["metadata"]
        identity = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in meta}
        body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": identity, "status": status}
        path = kind.path(meta.get("namespace"), meta["name"], "status")
        return await self._send(
            _Request(verb="update", kind=kind, path=path, query={"fieldManager": MANAGER}, body=body)
        )

    async def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str) -> None:
        """Delete exactly this object, what it owns in the background; Conflict if the name is another's by now."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        await self._send(_Request(verb="delete", kind=kind, path=kind.path(namespace, name), body=body))

    async def post(self, obj: Json) -> dict[str, Any]:
        """Create an object that nobody applies to later, such as an Event."""
        kind = kind_of(obj)
        path = kind.path(obj["metadata"].get("namespace"))
        return await self._send(_Request(verb="create", kind=kind, path=path, body=obj))

    async def put(self, obj: Json) -> dict[str, Any]:
        """Replace an object; Conflict if its resourceVersion is another by now."""
        kind, meta = kind_of(obj), obj["metadata"]
        return await self._send(
            _Request(verb="update", kind=kind, path=kind.path(meta.get("namespace"), meta["name"]), body=obj)
        )

    async def merge(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> dict[str, Any]:
        """Merge a patch into an object."""
        path = kind.path(namespace, name)
        return await self._send(_Request(verb="patch", kind=kind, path=path, body=patch, content_type=_MERGE))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _send(self, request: _Request) -> dict[str, Any]:
        status = 0
        try:
            with _answering(request):
                answered = await self._open(request)
                status, headers, body = answered.status, dict(answered.headers), await answered.read()
        finally:
            self._tally(request.verb, request.kind.name, status)
        if status >= HTTPStatus.BAD_REQUEST:
            raise error(status, headers, body)
        answer: dict[str, Any] = from_json(body)
        return answer

    async def _open(self, request: _Request) -> aiohttp.ClientResponse:
        # The transport directly: ApiClient.param_serialize would walk through every value of the body once more.
        headers = {
            **self._api.default_headers,
            **await authorization(self._api),
            "Accept": "application/json",
            "Content-Type": request.content_type,
        }
        url = self._api.configuration.host + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        if _METHODS[request.verb] != "GET":
            self._guard()
        answer = await self._transport.request(
            _METHODS[request.verb], url, headers=headers, body=request.body, _request_timeout=request.timeout
        )
        response: aiohttp.ClientResponse = answer.response
        return response


@contextlib.contextmanager
def _answering(request: _Request) -> Iterator[None]:
    """What goes wrong on the way is Unavailable."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as failure:
        raise Unavailable(
            f"no answer from the API server to {request.verb} {request.path}: {failure or type(failure).__name__}"
        ) from failure


def _selected(labels: str | None, fields: str | None) -> dict[str, str]:
    """The parameters of a list that ask for some of its objects."""
    return {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
