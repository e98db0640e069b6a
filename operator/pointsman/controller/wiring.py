"""The parts of one operator, wired: what is listed and watched goes into the cache and wakes whom it concerns."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog

from pointsman.cluster.answers import Busy, Missing
from pointsman.cluster.cache import Cache, Census, Change
from pointsman.cluster.client import Client, Page
from pointsman.cluster.connection import watching_session
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY, SECRET, WATCHED, Json, Kind
from pointsman.cluster.recorder import Recorder
from pointsman.controller import watches
from pointsman.controller.catalogue import Catalogue
from pointsman.controller.claims import Claims
from pointsman.controller.deciding import Deciding, Decision
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import Key
from pointsman.controller.looks import Looks, Reader
from pointsman.controller.memory import Memories
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Pulse
from pointsman.controller.reconcile import Reconciler, World
from pointsman.controller.routing import concerned
from pointsman.controller.settings import Settings
from pointsman.controller.workers import Done, Workers
from pointsman.errors import Retryable, Terminal
from pointsman.rollout import observed
from pointsman.signals.queries import Labels
from pointsman.signals.reading import Reading
from pointsman.webhooks.courier import Courier
from pointsman.webhooks.sending import Sender

_log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0


class Operator:
    """The parts of one operator, wired."""

    def __init__(
        self, settings: Settings, *, client: Client, decision: Decision, reader: Reader, metrics: Metrics, pulse: Pulse
    ) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.pulse = pulse
        self.cache = Cache()
        self.claims = Claims()
        self.memories = Memories()
        self.recorder = Recorder(client, instance=settings.identity, dropped=metrics.dropped)
        self.looks = Looks(
            reader,
            self._read,
            labels=Labels(deployment=settings.deployment_label, revision=settings.revision_label),
            gauge=metrics,
        )
        self.sender = Sender(partial(client.get, SECRET))
        self.courier = Courier[Key](
            self.sender.send, sent=self._delivered, failed=self._undelivered, counted=metrics.notified
        )
        world = World(
            client=client,
            cache=self.cache,
            memories=self.memories,
            gatherer=Gatherer(self.cache, self.claims, _decisive(settings)),
            recorder=self.recorder,
            looks=self.looks,
            gauge=metrics,
            post=self.courier,
            learnt=self._learn,
        )
        self._rollouts = Reconciler(world, Deciding(decision))
        self._catalogue = Catalogue(client, self.cache, self._learn)
        self.workers = Workers(self._reconcile, count=settings.workers, gauge=metrics)
        metrics.queue(lambda: len(self.workers), self.workers.waited)
        metrics.watches(pulse.ages)
        metrics.notifications(lambda: len(self.courier))
        self._served: tuple[Kind, ...] = ()
        self._watched: dict[str, tuple[Kind, str | None]] = {}  # by URL path
        self._unlisted: set[str] = set()  # URL paths
        self._censuses: dict[str, Census] = {}  # by URL path
        self._begun = False
        self._more = asyncio.Event()  # kinds are served that were not before: watch anew

    async def prepare(self) -> None:
        """Find out which kinds are served.

        Raises Terminal where the CRDs are not installed, Refused where we may not list what we need.
        """
        self._served = tuple([kind for kind in WATCHED if await self._surely(kind)])

    async def _surely(self, kind: Kind) -> bool:
        """Whether a kind is served, asked as often as it takes: who would be started instead of us has the same to do."""
        while True:
            try:
                return await self._is_served(kind)
            except Retryable as failure:
                _log.warning("not known yet what is served", kind=kind.name, error=str(failure))
                await asyncio.sleep(failure.after if isinstance(failure, Busy) else _AGAIN_SECONDS)

    async def relist(self) -> None:
        """List everything again from time to time, until cancelled: whatever a watch has missed."""
        while True:
            await asyncio.sleep(self.settings.relist_every)
            for kind in WATCHED:
                try:
                    served = await self._relist(kind)
                except (Retryable, Terminal) as failure:
                    _log.warning("list failed", kind=kind.name, error=str(failure))
                else:
                    if served and kind not in self._served:
                        self._served = (*self._served, kind)
                        self._more.set()

    def heard(self, path: str) -> None:
        """A watch is alive."""
        self.pulse.heard(path)

    def listed(self, path: str, answer: Json, *, first: bool) -> None:
        """A page of a list that Kopf has asked for, at its start or after a watch that was interrupted for too long."""
        kind, namespace = self._watched[path]
        if first:
            self._censuses[path] = self.cache.census(kind, namespace)
        page = Page.of(answer)
        self._count(self._censuses[path], page)
        if not page.following:
            self._unlisted.discard(path)
        if not self._unlisted:
            self.pulse.complete()
            if not self._begun:
                self._begin()

    def _begin(self) -> None:
        """Reconcile from now on: before everything is listed, what is absent here is not absent from the cluster."""
        self._begun = True
        gc.freeze()  # what was listed stays: the collector need not look at it again and again
        for kind in (MODEL_RUNTIME, ROLLOUT_POLICY, MODEL_DEPLOYMENT):
            for name in self.cache.names(kind):
                self.workers.add_round(Key(kind.name, *name))
        self.workers.begin()

    async def watch(self, server: str, api: Any, stop: asyncio.Event, on_signal: Callable[[], None]) -> None:
        """Watch all kinds that are served until `stop`; returns earlier or raises where a watch is dead for good."""
        while not stop.is_set():
            self._more.clear()
            kinds = self._served
            self._expect(kinds)
            ended = asyncio.Event()
            forward = asyncio.create_task(_first(stop, self._more, ended))
            try:
                await watches.watch(
                    kinds,
                    server=server,
                    session=partial(watching_session, api, self),
                    heard=self._changed,
                    namespaces=self.settings.namespaces,
                    stop=ended,
                    on_signal=on_signal,
                )
            finally:
                forward.cancel()
            if not stop.is_set():
                _log.info("watching anew", kinds=[kind.name for kind in self._served])

    async def _reconcile(self, key: Key) -> Done:
        if key.kind == MODEL_DEPLOYMENT.name:
            return await self._rollouts.reconcile(key)
        return await self._catalogue.reconcile(key)

    async def _is_served(self, kind: Kind) -> bool:
        try:
            for namespace in self._namespaces(kind):
                await self.client.probe(kind, namespace)
        except Missing as missing:
            if kind.optional:
                return False
            raise Terminal(
                f"the API server does not know {kind.plural}.{kind.group}: install Pointsman's CRDs (charts/pointsman/crds)"
            ) from missing
        return True

    async def _relist(self, kind: Kind) -> bool:
        """List a kind into the cache; whether it is served at all."""
        try:
            for namespace in self._namespaces(kind):
                census = self.cache.census(kind, namespace)
                async for page in self.client.pages(kind, namespace, labels=kind.selector):
                    self._count(census, page)
        except Missing:
            return False
        return True

    def _count(self, census: Census, page: Page) -> None:
        changes = census.page(page.items)
        if not page.following:
            changes += census.end(page.resource_version)
        for change in changes:
            for key in concerned(change, self.cache, self.claims):
                self.workers.add_round(key)

    def _expect(self, kinds: Iterable[Kind]) -> None:
        """Kopf is going to list and watch these."""
        self._watched = {
            kind.path(namespace): (kind, namespace) for kind in kinds for namespace in self._namespaces(kind)
        }
        self._unlisted = set(self._watched)
        self.pulse.expect(list(self._watched))

    def _namespaces(self, kind: Kind) -> Iterable[str | None]:
        return self.settings.namespaces if kind.namespaced and self.settings.namespaces else (None,)

    def _changed(self, type_: str, obj: dict[str, Any]) -> None:
        change = self.cache.deleted(obj) if type_ == "DELETED" else self.cache.put(obj)
        if change is not None:
            self._learn(change)

    def _learn(self, change: Change) -> None:
        for key in concerned(change, self.cache, self.claims):
            self.workers.add(key)

    def _read(self, key: Key, reading: Reading, *, awaited: bool) -> None:
        memory = self.memories.get(key)
        if memory is None:
            return
        memory.reading = reading
        if awaited:
            self.workers.add(key)
        else:
            self.workers.add_round(key)

    def _delivered(self, key: Key, name: tuple[str, str]) -> None:
        memory = self.memories.get(key)
        if memory is not None:
            memory.delivered(name)
            self.workers.add_round(key)

    def _undelivered(self, key: Key, name: tuple[str, str], why: str) -> None:
        memory = self.memories.get(key)
        if memory is not None and memory.undelivered(name, why):
            self.workers.add_round(key)


def _decisive(settings: Settings) -> observed.Settings:
    return observed.Settings(
        storage_initializer=settings.storage_initializer,
        inspector_image=settings.inspector_image,
        inspector_pull_secrets=settings.inspector_pull_secrets,
        gateway_metrics=settings.gateway_metrics,
        scrape_labels=(settings.deployment_label, settings.revision_label),
    )


async def _first(*events_then_target: asyncio.Event) -> None:
    """Set the last event when one of the others is set."""
    *sources, target = events_then_target
    waiting = [asyncio.create_task(event.wait()) for event in sources]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        target.set()
    finally:
        for task in waiting:
            task.cancel()
