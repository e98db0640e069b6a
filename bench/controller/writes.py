"""How often the operator writes to the API server: in a canary of three steps, and while nothing changes."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from bench.lab import models, programs
from bench.lab.api import Objects
from bench.lab.figures import RESULTS, Figure
from bench.lab.options import Options
from bench.lab.place import Place, place
from bench.lab.programs import Program
from bench.lab.recorder import Recorder, Request, recording

NAME = "writes"
BUDGET = 30  # of one canary
_QUICK = models.Pace(hold="5s", interval="2s", warmup="1s", keep="8s")
_FULL = models.Pace(hold="1m", interval="10s", warmup="10s", keep="30s")
_RATE = 1000  # requests a second of every pod: the proof has to be there when the holds are over
_MODEL = "model-0"
_NOT_COUNTED = ("Lease", "ModelRuntime", "RolloutPolicy")  # the last two: those of other users of the API server
_HOLDS = 3  # each longer than a minute at full size
_QUIET = 2.0  # seconds without a change that end a part
_SETTLED = 7.0  # seconds after which a status that is no news is written too


async def run(options: Options) -> list[Figure]:
    """Serve, idle, roll out to the end, idle; count all the operator's requests by a proxy in between."""
    pace = options.of(quick=_QUICK, full=_FULL)
    idle = options.of(quick=10.0, full=120.0)
    scrape = options.of(quick="1s", full="5s")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-writes-")))
        here = await stack.enter_async_context(place(pace))
        recorder = await stack.enter_async_context(recording(here.credentials, folder, here.namespace))
        exporter = await stack.enter_async_context(programs.exporter(seed=options.seed, rate=_RATE, log=NAME))
        prometheus = await stack.enter_async_context(
            programs.prometheus(here.kubeconfig, here.namespace, exporter=exporter, scrape=scrape, log=NAME)
        )
        operator = await stack.enter_async_context(
            programs.operator(recorder.kubeconfig, here.namespace, prometheus=prometheus.url, log=NAME)
        )
        return await _measure(here, recorder, operator, idle)


async def _measure(here: Place, recorder: Recorder, operator: Program, idle: float) -> list[Figure]:
    await here.serve([_MODEL])
    await here.quiet(_SETTLED)
    before = await _idle(recorder, idle)
    counted, begun = await _own_count(operator), time.perf_counter()
    promoted = await _canary(here)
    await here.quiet(_QUIET)
    writes = recorder.writes(begun)
    own = await _own_count(operator) - counted
    after = await _idle(recorder, idle)
    _tell({"before": before, "canary": writes, "after": after}, begun)
    saved = sum(one.resource == "modelrevisions/status" for one in writes)
    rollout = [one for one in writes if one.at <= promoted + _QUIET]
    allowed = max(int((promoted - begun) // 60), _HOLDS)
    return [
        Figure(
            figure=f"writes of a three-step canary of {promoted - begun:.0f} s,"
            f" beyond one ModelRevision.status a minute (or hold: {allowed})",
            value=len(rollout) - min(saved, allowed),
            unit="writes",
            target=BUDGET,
        ),
        Figure(figure="writes while nothing changes", value=len(before) + len(after), unit="writes", target=0),
        Figure(figure="all writes, until the previous revision is gone", value=len(writes), unit="writes"),
        Figure(figure="of these: ModelRevision.status", value=saved, unit="writes"),
        Figure(figure="of these: Events", value=sum(one.resource == "events" for one in writes), unit="writes"),
        Figure(
            figure="of these: after the promotion, when the previous revision is retired",
            value=len(writes) - len(rollout),
            unit="writes",
        ),
        Figure(figure="all writes of the canary by the operator's own count", value=own, unit="writes"),
        Figure(figure="dry runs, which write nothing", value=_dry(recorder.reads(begun)), unit="requests"),
        Figure(
            figure="requests a minute while nothing changes, the lease's included",
            value=_rate(recorder, idle),
            unit="requests",
        ),
    ]


async def _idle(recorder: Recorder, seconds: float) -> list[Request]:
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    return recorder.writes(begun)


async def _canary(here: Place) -> float:
    """A whole rollout, until the version before it has left; when the new version served alone."""
    before = frozenset(here.workloads.objects)
    await here.api.merge("ModelDeployment", here.namespace, _MODEL, patch=models.version(2))
    promoted = await here.models.until(
        lambda seen: models.serves(seen[_MODEL], 2), what="the candidate is promoted", seconds=900
    )
    await here.workloads.until(lambda seen: _gone(seen, before), what="the previous revision is gone", seconds=120)
    return promoted


def _gone(seen: Objects, before: Iterable[str]) -> bool:
    return not any(name in seen for name in before)


async def _own_count(operator: Program) -> int:
    counted = await operator.metrics()
    writes = {name[1:]: value for name, value in counted.items() if name[0] == "pointsman_api_writes_total"}
    return int(sum(value for (kind, _), value in writes.items() if kind not in _NOT_COUNTED))


def _dry(reads: Iterable[Request]) -> int:
    return sum("dryRun=" in one.query for one in reads)


def _rate(recorder: Recorder, idle: float) -> float:
    last = time.perf_counter()
    return sum(one.at >= last - idle for one in recorder.requests) / idle * 60


def _tell(parts: Mapping[str, list[Request]], begun: float) -> None:
    """Every write, one a line, and the sums by resource."""
    lines: list[str] = []
    for part, writes in parts.items():
        sums = Counter((one.method, one.resource) for one in writes)
        lines += [f"{part}: {len(writes)} writes"]
        lines += [f"{one.at - begun:8.3f} {one.status} {one.method:6} {one.resource:24} {_gist(one)}" for one in writes]
        lines += [f"{count:4} {method} {resource}" for (method, resource), count in sorted(sums.items())]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{NAME}-canary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _gist(request: Request) -> str:
    """What a write is about, as far as it can be told from its body."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        return ""
    status, spec = body.get("status") or {}, body.get("spec") or {}
    if "note" in body:
        return f"{body.get('reason')}: {body['note'][:80]}"
    if "rollout" in status or "stable" in status:
        rollout = status.get("rollout") or {}
        said = (rollout.get("phase"), rollout.get("step"), rollout.get("percent"), (rollout.get("message") or "")[:60])
        arms = [(status.get(arm) or {}).get("readyReplicas") for arm in ("stable", "candidate", "previous")]
        return f"{request.path.rpartition('/status')[0].rpartition('/')[2]} rollout={said} ready={arms}"
    if "replicas" in spec:
        return f"{body['metadata']['name']} replicas={spec['replicas']}"
    if "rules" in spec:
        return str({ref["name"]: ref.get("weight") for rule in spec["rules"] for ref in rule["backendRefs"]})
    return str((body.get("metadata") or {}).get("name") or request.path.rpartition("/")[2])
