"""Kopf's part: it watches, and every event goes into the cache and wakes whom it concerns. Nothing else is Kopf's."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import aiohttp
import kopf

from pointsman.api.values import GROUP
from pointsman.cluster.kinds import Kind
from pointsman.errors import Terminal

_STOP_SECONDS = 10.0

Heard = Callable[[str, dict[str, Any]], None]
"""Called with the type of an event (ADDED, MODIFIED or DELETED) and the object."""


class _NoDifferences(kopf.DiffBaseStorage):
    """We ask Kopf for no differences; finding them means copying every object that changes, several times."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        raise AssertionError("nothing of Kopf's is written to anybody's object")


class _Pauses:
    """Between attempts, seconds, without an end: one kind that cannot be listed is no reason to leave the others alone."""

    def __iter__(self) -> Iterator[float]:
        return chain((0.1, 0.5, 1.0, 2.0), repeat(5.0))


def _settings(kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # a Lease decides who works
    settings.scanning.disabled = True  # no watches of CRDs and namespaces, no rights for them
    settings.posting.enabled = False  # our own recorder
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.queueing.idle_timeout = 0.1  # of the task that Kopf starts for each object that changes
    settings.watching.chunk_size = 500
    settings.watching.inactivity_timeout = 70  # the API server sends a bookmark a minute
    settings.watching.reconnect_backoff = 0.1
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Pauses()
    for kind in kinds:
        if kind.selector is not None:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.selector
    return settings


def _registry(
    kinds: Iterable[Kind], server: str, session: Callable[[], Awaitable[aiohttp.ClientSession]], heard: Heard
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def login(**_: Any) -> kopf.AiohttpSession:
        # Kopf closes the session when the credentials expire, and asks for another: always a new one.
        return kopf.AiohttpSession(server=server, aiohttp_session=await session())

    for kind in kinds:
        _register(registry, kind, heard)
    return registry


def _register(registry: kopf.OperatorRegistry, kind: Kind, heard: Heard) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
    async def _(event: Any, **_: Any) -> None:
        obj = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
        heard(event["type"], obj)


async def watch(
    kinds: Iterable[Kind],
    *,
    server: str,
    session: Callable[[], Awaitable[aiohttp.ClientSession]],
    heard: Heard,
    namespaces: Iterable[str],
    stop: asyncio.Event,
    on_signal: Callable[[], None],
) -> None:
    """Watch until `stop`. Raises Terminal where a watch is dead for good.

    That is not left to Kopf: it waits for its other watches, which wait for credentials that nobody gives them any more.
    Tasks that exist already are none of Kopf's business; it cancels at its end what was created after its start.
    """
    kinds, namespaces = tuple(kinds), tuple(namespaces)
    existing = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=_registry(kinds, server, session, heard),
        settings=_settings(kinds),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # Kopf took them; we finish what we are at before it stops
        loop.add_signal_handler(number, on_signal)
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=existing), name="kopf")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            raise Terminal(", ".join(map(_last_words, done)))
        await asyncio.wait([running], timeout=_STOP_SECONDS)
    finally:
        running.cancel()


def _last_words(task: asyncio.Task[None]) -> str:
    failure = None if task.cancelled() else task.exception()
    return f"Kopf's {task.get_name()} has ended: {failure}"
