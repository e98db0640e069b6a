"""The operator's process: wires its parts, leads, watches, works, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog

from pointsman.cluster.answers import Missing
from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect, watching_session
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY, WATCHED, Kind
from pointsman.cluster.lease import Leadership
from pointsman.cluster.recorder import Recorder
from pointsman.controller import logs, watches
from pointsman.controller.catalogue import Catalogue
from pointsman.controller.claims import Claims
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import Key, key_of
from pointsman.controller.looks import Looks, NoReader, Reader
from pointsman.controller.memory import Memories
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Probes, Pulse
from pointsman.controller.reconcile import Decision, Reconciler, World
from pointsman.controller.routing import concerned
from pointsman.controller.settings import Settings
from pointsman.controller.workers import Done, Workers
from pointsman.errors import PointsmanError, Retryable, Terminal
from pointsman.prometheus import reader as prometheus
from pointsman.rollout import observed
from pointsman.signals import profiles
from pointsman.signals.queries import Labels
from pointsman.signals.reading import Reading

_log = structlog.get_logger(__name__)

_BURIAL_SECONDS = 5.0


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
        world = World(
            client=client,
            cache=self.cache,
            memories=self.memories,
            gatherer=Gatherer(self.cache, self.claims, _decisive(settings)),
            recorder=self.recorder,
            looks=self.looks,
            learnt=self._learn,
        )
        self._rollouts = Reconciler(world, decision)
        self._catalogue = Catalogue(client, self.cache, self._learn)
        self.workers = Workers(self._reconcile, count=settings.workers, gauge=metrics)
        metrics.queue(lambda: len(self.workers))
        self._served: tuple[Kind, ...] = ()
        self._more = asyncio.Event()  # kinds are served that were not before: watch anew

    async def prime(self) -> None:
        """List everything once: what is absent from a cache that is not full is not absent from the cluster.

        Raises Terminal where the CRDs are not installed.
        """
        self._served = tuple([kind for kind in WATCHED if await self._relist(kind)])
        for kind in (MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY):
            for obj in self.cache.all(kind):
                self.workers.add(key_of(obj))

    async def relist(self) -> None:
        """List everything again from time to time, until cancelled: a watch that was interrupted hides deletions."""
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

    async def watch(self, server: str, api: Any, stop: asyncio.Event, on_signal: Any) -> None:
        """Watch all kinds that are served until `stop`; returns earlier or raises where a watch is dead for good."""
        while not stop.is_set():
            self._more.clear()
            kinds = self._served
            self.pulse.expect([path for kind in kinds for path in self._paths(kind)])
            ended = asyncio.Event()
            forward = asyncio.create_task(_first(stop, self._more, ended))
            try:
                await watches.watch(
                    kinds,
                    server=server,
                    session=partial(watching_session, api, self.pulse.heard),
                    seen=self._seen,
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

    async def _relist(self, kind: Kind) -> bool:
        """List a kind into the cache; whether it is served at all."""
        try:
            for namespace in self._namespaces(kind):
                listing = await self.client.list(kind, namespace, labels=kind.selector)
                for change in self.cache.replace(kind, listing, namespace):
                    self._learn(change)
        except Missing as missing:
            if kind.optional:
                return False
            raise Terminal(
                f"the API server does not know {kind.plural}.{kind.group}: install Pointsman's CRDs (charts/pointsman/crds)"
            ) from missing
        return True

    def _namespaces(self, kind: Kind) -> Iterable[str | None]:
        return self.settings.namespaces if kind.namespaced and self.settings.namespaces else (None,)

    def _paths(self, kind: Kind) -> Iterable[str]:
        return (kind.path(namespace) for namespace in self._namespaces(kind))

    def _seen(self, type_: str | None, obj: dict[str, Any]) -> None:
        change = self.cache.deleted(obj) if type_ == "DELETED" else self.cache.put(obj)
        if change is not None:
            self._learn(change)

    def _learn(self, change: Change) -> None:
        for key in concerned(change, self.cache, self.claims):
            self.workers.add(key)

    def _read(self, key: Key, reading: Reading) -> None:
        memory = self.memories.get(key)
        if memory is not None:
            memory.reading = reading
            self.workers.add(key)


def _decisive(settings: Settings) -> observed.Settings:
    return observed.Settings(
        storage_initializer=settings.storage_initializer,
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


def main(settings: Settings, decision: Decision) -> int:
    """Run the operator in this process; the exit status."""
    with asyncio.Runner() as runner:
        status = runner.run(run(settings, decision))
        # A Kopf that has failed does not let go of its tasks, nor a server that hangs of a thread: not for us to wait.
        burial = threading.Timer(_BURIAL_SECONDS, os._exit, [status])
        burial.daemon = True
        burial.start()
    return status


async def run(settings: Settings, decision: Decision) -> int:
    """Run the operator until SIGTERM or SIGINT; the exit status: not 0 where it ended by itself."""
    logs.configure(settings.log_level)
    metrics, pulse = Metrics(), Pulse(settings.silence_limit)
    async with contextlib.AsyncExitStack() as stack:
        try:
            _checked(settings)
            reader = _reader(settings, stack)
            api = await connect(settings.kubeconfig)
            client = Client(api, metrics.requested)
            stack.push_async_callback(client.close)
            operator = Operator(settings, client=client, decision=decision, reader=reader, metrics=metrics, pulse=pulse)
            probes = Probes(pulse, metrics, settings.probes_port)
            stack.push_async_callback(probes.stop)
            await probes.start()
            return await _lead(operator, api, probes)
        except (PointsmanError, OSError) as failure:
            _log.error("ended", error=str(failure))
            return 1


def _checked(settings: Settings) -> None:
    if settings.gateway_metrics is not None:
        try:
            profiles.gateway(settings.gateway_metrics)
        except ValueError as mistake:
            raise Terminal(f"--gateway-metrics: {mistake}") from mistake


def _reader(settings: Settings, stack: contextlib.AsyncExitStack) -> Reader:
    if settings.prometheus_url is None:
        return NoReader()
    try:
        reader = prometheus.Reader(settings.prometheus_url, headers=dict(settings.prometheus_headers))
    except ValueError as mistake:
        raise Terminal(str(mistake)) from mistake
    stack.push_async_callback(reader.close)
    return reader


async def _lead(operator: Operator, api: Any, probes: Probes) -> int:
    settings, stop = operator.settings, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    leadership = Leadership(
        operator.client, namespace=settings.lease_namespace, name=settings.lease_name, identity=settings.identity
    )
    operator.pulse.ready = True
    _log.info("waiting for the lease", lease=f"{settings.lease_namespace}/{settings.lease_name}", port=probes.port)
    if not await _unless(stop, leadership.acquire()):
        return 0
    operator.metrics.led()
    _log.info("leading", identity=settings.identity)
    try:
        return await _work(operator, api, leadership, probes, stop)
    finally:
        await leadership.release()


async def _work(operator: Operator, api: Any, leadership: Leadership, probes: Probes, stop: asyncio.Event) -> int:
    await operator.prime()
    ended = asyncio.Event()  # of Kopf: after what is being worked on
    background = [
        asyncio.create_task(coroutine, name=name)
        for name, coroutine in (
            ("lease", leadership.keep()),
            ("relist", operator.relist()),
            ("recorder", operator.recorder.run()),
            ("looks", operator.looks.run()),
        )
    ]
    workers = asyncio.create_task(operator.workers.run(), name="workers")
    watching = asyncio.create_task(operator.watch(api.configuration.host, api, ended, stop.set), name="watches")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    everything = [*background, workers, watching, stopping]
    try:
        done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            await _drain(operator, workers)
            await probes.stop()  # Kopf would wait for its open connections
            ended.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.wait([watching])
            _log.info("stopped")
            return 0
        return _verdict(done)
    finally:
        for task in everything:
            task.cancel()
        await asyncio.wait(everything, timeout=5)


async def _drain(operator: Operator, workers: asyncio.Task[None]) -> None:
    """Take no new work, finish what is begun, post what is to be said."""
    operator.workers.stop()
    await asyncio.wait([workers], timeout=operator.settings.drain_limit)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await operator.recorder.flush()


def _verdict(done: set[asyncio.Task[Any]]) -> int:
    """Something that has to run for ever has ended: why."""
    for task in done:
        failure = None if task.cancelled() else task.exception()
        _log.error("ended by itself", part=task.get_name(), error=str(failure) if failure else "it returned")
    return 1


async def _unless(stop: asyncio.Event, coroutine: Any) -> bool:
    """Await a coroutine; False where `stop` was set first."""
    work, stopping = asyncio.create_task(coroutine), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if work in done:
        work.result()
        return True
    return False
