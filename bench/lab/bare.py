"""A bare client, what the operator is compared with: it writes what the operator writes, or lists what it lists, and nothing else.

python -m bench.lab.bare write KUBECONFIG SCRIPT: for each name of the script (JSON) its ModelDeployment and then the recorded writes, in their
order; names at the same time. python -m bench.lab.bare list KUBECONFIG: every kind that the operator watches, page by page. Both say `ready`,
wait for a line on stdin, and print how many seconds it took, on this process's clock and in all since it was started.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.lab.api import APPLY, Api, Credentials, Json, path
from bench.lab.recorder import Request

CONNECTIONS = 32  # as the operator has
_PAGE = 500
LISTED = (
    "ModelRuntime",
    "RolloutPolicy",
    "GatewayClass",
    "Gateway",
    "ModelDeployment",
    "ModelRevision",
    "Deployment",
    "Service",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
)
_STARTED = time.perf_counter()


def script(model: Json, names: Iterable[str], writes: Iterable[Request]) -> str:
    """What `write` reads: the recorded writes for one ModelDeployment, to be made for others whose names are as long."""
    recorded = [
        {"method": one.method, "path": one.path, "query": one.query, "body": json.loads(one.body)} for one in writes
    ]
    return json.dumps({"model": model, "names": list(names), "writes": recorded})


async def write(api: Api, said: Json) -> None:
    """Write for all names."""
    template = said["model"]["metadata"]["name"]
    recorded = json.dumps(said["writes"])
    free = asyncio.Semaphore(CONNECTIONS)  # a request that waits for a connection for minutes would be given up

    async def one(name: str) -> None:
        async with free:
            await _one(api, said["model"], name, json.loads(recorded.replace(template, name)))

    await asyncio.gather(*map(one, said["names"]))


async def _one(api: Api, model: Json, name: str, writes: list[Json]) -> None:
    made = await api.apply({**model, "metadata": {**model["metadata"], "name": name}})
    known = {_address(made): made["metadata"]}
    for number, one in enumerate(writes):
        body = _current(one["body"], made["metadata"]["uid"], known)
        if one["method"] == "POST":
            body["metadata"]["name"] = f"{name}.{number}"
        query = dict(pair.split("=", 1) for pair in one["query"].split("&") if pair)
        content = APPLY if one["method"] == "PATCH" else "application/json"
        answer = await api.send(one["method"], one["path"], body, content=content, **query)
        known[_address(answer)] = answer["metadata"]


def _current(body: Json, owner: str, known: dict[tuple[str, str], Json]) -> Json:
    """The recorded object with the uids and versions of today's."""
    meta = body["metadata"]
    now = known.get(_address(body))
    for key in ("uid", "resourceVersion"):
        if key in meta:
            meta.update({key: now[key]} if now else {})
    for reference in meta.get("ownerReferences", ()):
        reference["uid"] = owner
    return body


def _address(obj: Json) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


async def list_all(api: Api) -> int:
    """List all kinds; how many objects there are."""
    count = 0
    for kind in LISTED:
        query: dict[str, Any] = {"limit": str(_PAGE)}
        while True:
            page = await api.send("GET", path(kind), **query)
            count += len(page["items"])
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
    return count


async def _main(what: str, kubeconfig: Path, said: Json) -> None:
    async with Api.open(Credentials.of(kubeconfig), connections=CONNECTIONS) as api:
        print("ready", flush=True)
        waited = time.perf_counter()
        sys.stdin.readline()
        waited = time.perf_counter() - waited
        begun = time.perf_counter()
        if what == "write":
            await write(api, said)
        else:
            await list_all(api)
        ended = time.perf_counter()
        print(json.dumps({"seconds": ended - begun, "in_all": ended - _STARTED - waited}), flush=True)


if __name__ == "__main__":
    _, _what, _kubeconfig, *_file = sys.argv
    asyncio.run(_main(_what, Path(_kubeconfig), json.loads(Path(_file[0]).read_text("utf-8")) if _file else {}))
