"""The operator's process: it waits for the lease, works, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import Any

import structlog

from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect
from pointsman.cluster.lease import Leadership
from pointsman.controller import logs
from pointsman.controller.looks import NoReader, Reader
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Probes, Pulse
from pointsman.controller.reconcile import Decision
from pointsman.controller.settings import Settings
from pointsman.controller.wiring import Operator
from pointsman.errors import PointsmanError, Terminal
from pointsman.prometheus import reader as prometheus
from pointsman.signals import profiles

_log = structlog.get_logger(__name__)

_BURIAL_SECONDS = 5.0


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
