"""The process: `pointsman inspector` from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from pointsman.inspector.assignment import VARIABLE
from tests.inspector.models import serving
from tests.inspector.test_assignment import LEAST

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the user"  # noqa: S105


@contextlib.asynccontextmanager
async def running(told: str | None, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "pointsman", "inspector", "--port", "0", "--probes-port", "0", *options,
        env=environment | ({} if told is None else {VARIABLE: told}), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Its next line."""
    assert process.stderr is not None
    found: dict[str, Any] = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
    return found


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Its exit status, and what it said at last."""
    assert process.stderr is not None
    text = await asyncio.wait_for(process.stderr.read(), 60)
    return await process.wait(), text.decode()


async def test_told_to_stop_under_load_it_says_what_became_of_every_request() -> None:
    async with serving("stable") as stable, serving("candidate") as candidate:
        arms = {"stable": {"revision": "s", "url": stable.url}, "candidate": {"revision": "c", "url": candidate.url}}
        told = json.dumps(LEAST | arms | {"protocol": "Json"})
        async with running(told, "--grace", "20") as process, httpx.AsyncClient(trust_env=False) as gateway:
            started = await said(process)
            _, writer = await asyncio.open_connection("127.0.0.1", started["port"])
            writer.write(f"POST / HTTP/1.1\r\n{SECRET}\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            url = f"http://127.0.0.1:{started['port']}/"

            async def mirrors() -> None:
                with contextlib.suppress(httpx.TransportError):
                    while True:
                        await gateway.post(url, json={"said": SECRET})
                        await gateway.post(url, content=f"{{{SECRET}")

            load = [asyncio.create_task(mirrors()) for _ in range(3)]
            while len(candidate.asked) < 20:  # noqa: ASYNC110  a list grows, and nobody tells
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            status, text = await ended(process)
            await asyncio.gather(*load)
    assert status == 0
    assert SECRET not in text
    last = json.loads(text.splitlines()[-1])
    assert last["event"] == "stopped"
    assert last["received"] == sum(last["handled"].values())
    assert last["handled"]["compared"] > 0 < last["handled"]["unparsed"]
    assert last["handled"]["crashed"] == 0


async def test_killed_and_started_again_it_counts_from_zero_and_says_since_when() -> None:
    async with serving("stable") as stable:
        told = json.dumps(LEAST | {"stable": {"revision": "s", "url": stable.url}, "protocol": "Json"})
        found = []
        for _ in range(2):
            async with running(told) as process, httpx.AsyncClient(trust_env=False) as gateway:
                started = await said(process)
                await gateway.post(f"http://127.0.0.1:{started['port']}/", json={})
                lines = (await gateway.get(f"http://127.0.0.1:{started['probes_port']}/metrics")).text.splitlines()
                assert (await gateway.get(f"http://127.0.0.1:{started['probes_port']}/healthz")).status_code == 200
                found.append(dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#")))
                process.send_signal(signal.SIGKILL)
                await process.wait()
    assert [one["pointsman_inspector_received_total"] for one in found] == ["1.0", "1.0"]
    assert float(found[0]["process_start_time_seconds"]) < float(found[1]["process_start_time_seconds"])


async def test_what_it_is_told_is_refused_in_a_sentence() -> None:
    async with running(json.dumps(LEAST | {"attempts": 1})) as process:
        assert await ended(process) == (2, "POINTSMAN_INSPECTOR.attempts: there is no such field; leave it out\n")
    async with running(json.dumps(LEAST | {"reference": "/nowhere.json"})) as process:
        assert "POINTSMAN_INSPECTOR.reference: there is no file /nowhere.json" in (await ended(process))[1]
    async with running(None) as process:
        assert await ended(process) == (2, "POINTSMAN_INSPECTOR: set it to what docs/inspector.md describes\n")


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104  where the inspector listens, too
        async with running(json.dumps(LEAST), "--port", str(taken.getsockname()[1])) as process:
            status, text = await ended(process)
    assert status == 1
    assert "address already in use" in json.loads(text)["error"]
