"""The operator's process: it waits for the lease, works, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from typing import Any

import structlog

from pointsman import logs
from pointsman.cluster.client import Client, Tally
from pointsman.cluster.connection import connect
from pointsman.cluster.lease import Leadership, Terms
from pointsman.controller.deciding import Decision
from pointsman.controller.looks import NoReader, Reader
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Probes, Pulse
from pointsman.controller.settings import Settings
from pointsman.controller.wiring import Operator
from pointsman.errors import PointsmanError, Terminal
from pointsman.prometheus import reader as prometheus
from pointsman.prometheus.credentials import Credentials, UnusableError
from pointsman.signals import profiles

_log = structlog.get_logger(__name__)

_BURIAL_SECONDS = 5.0
_STOP_SECONDS = 10.0


def main(settings: Settings, decision: Decision) -> int:
    """Run the operator in this process; the exit status."""
    # Threads that read what Prometheus answers calculate for seconds: the event loop waits for its turn no longer than this.
    sys.setswitchinterval(0.0005)
    # Each look makes a hundred thousand small objects and no cycles: with the standard thresholds the collector walks through
    # everything every few seconds, for half a second where hundreds of rollouts run.
    gc.set_threshold(100_000, 50, 1_000)
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
            tally = _tally(metrics, pulse)
            election = Client(api, tally)
            stack.push_async_callback(election.close)
            leadership = _leadership(settings, election)
            client = Client(api, tally, guard=leadership.check)
            operator = Operator(settings, client=client, decision=decision, reader=reader, metrics=metrics, pulse=pulse)
            stack.callback(operator.sender.close)
            probes = Probes(pulse, metrics, settings.probes_port)
            stack.push_async_callback(probes.stop)
            await probes.start()
            return await _lead(operator, api, leadership, probes)
        except (PointsmanError, OSError) as failure:
            _log.error("ended", error=str(failure))
            return 1


def _tally(metrics: Metrics, pulse: Pulse) -> Tally:
    def requested(verb: str, kind: str, code: int) -> None:
        metrics.requested(verb, kind, code)
        pulse.answered(code)

    return requested


def _checked(settings: Settings) -> None:
    if settings.gateway_metrics is not None:
        try:
            profiles.gateway(settings.gateway_metrics)
        except ValueError as mistake:
            raise Terminal(f"--gateway-metrics: {mistake}") from mistake


def _reader(settings: Settings, stack: contextlib.AsyncExitStack) -> Reader:
    if settings.prometheus_url is None:
        return NoReader()
    credentials = Credentials.named(
        token_file=settings.prometheus_token_file,
        headers_folder=settings.prometheus_headers_folder,
        ca_file=settings.prometheus_ca_file,
    )
    try:
        credentials.headers()
        credentials.verify()
        reader = prometheus.Reader(settings.prometheus_url, credentials=credentials)
    except (ValueError, UnusableError) as mistake:
        raise Terminal(str(mistake)) from mistake
    stack.push_async_callback(reader.close)
    return reader


def _leadership(settings: Settings, client: Client) -> Leadership:
    terms = Terms(duration=settings.lease_duration, deadline=settings.renew_deadline, retry=settings.retry_period)
    return Leadership(
        client,
        namespace=settings.lease_namespace,
        name=settings.lease_name,
        identity=settings.identity,
        terms=terms,
    )


async def _lead(operator: Operator, api: Any, leadership: Leadership, probes: Probes) -> int:
    settings, stop = operator.settings, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _log.info("waiting for the lease", lease=f"{settings.lease_namespace}/{settings.lease_name}", port=probes.port)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    acquiring = asyncio.create_task(leadership.acquire(), name="lease")
    try:
        if stopping in await _first(stopping, acquiring):
            return 0
        acquiring.result()
        operator.metrics.led()
        _log.info("leading", identity=settings.identity)
        return await _work(operator, api, leadership, probes, stop)
    finally:
        await _cancel(stopping, acquiring)
        await leadership.release()


async def _work(operator: Operator, api: Any, leadership: Leadership, probes: Probes, stop: asyncio.Event) -> int:
    ended = asyncio.Event()  # of Kopf: after what is being worked on
    keeping = asyncio.create_task(leadership.keep(), name="lease")  # from now on, however long the first list takes
    stopping = asyncio.create_task(stop.wait(), name="stop")
    preparing = asyncio.create_task(operator.prepare(), name="prepare")
    everything = [keeping, stopping, preparing]
    try:
        done = await _first(*everything)
        if stopping in done:
            return 0
        if keeping in done:
            return _verdict(done)
        preparing.result()
        everything.remove(preparing)
        workers = asyncio.create_task(operator.workers.run(), name="workers")
        watching = asyncio.create_task(operator.watch(api.configuration.host, api, ended, stop.set), name="watches")
        everything += [
            workers,
            watching,
            asyncio.create_task(operator.relist(), name="relist"),
            asyncio.create_task(operator.recorder.run(), name="recorder"),
            asyncio.create_task(operator.looks.run(), name="looks"),
            asyncio.create_task(operator.courier.run(), name="courier"),
        ]
        done = await _first(*everything)
        if stopping not in done:
            return _verdict(done)
        await _drain(operator, workers)
        await _cancel(keeping)
        await leadership.release()  # nothing is written any more: the next one need not wait for Kopf to let go
        await probes.stop()  # Kopf would wait for its open connections
        ended.set()
        await asyncio.wait([watching], timeout=_STOP_SECONDS)
        _log.info("stopped")
        return 0
    finally:
        await _cancel(*everything)


async def _drain(operator: Operator, workers: asyncio.Task[None]) -> None:
    """Take no new work, finish what is begun, post what is to be said."""
    operator.workers.stop()
    await asyncio.wait([workers], timeout=operator.settings.drain_limit)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await operator.recorder.flush()


async def _first(*tasks: asyncio.Task[Any]) -> set[asyncio.Task[Any]]:
    """Those that have ended, when one has."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_STOP_SECONDS / 2)


def _verdict(done: set[asyncio.Task[Any]]) -> int:
    """Something that has to run for ever has ended: why."""
    for task in done:
        failure = None if task.cancelled() else task.exception()
        _log.error("ended by itself", part=task.get_name(), error=str(failure) if failure else "it returned")
    return 1
