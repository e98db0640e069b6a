"""What users notice of a mirror: their p99 with copies on and off in turn, in the whole cluster, with model servers that are well used."""

from __future__ import annotations

import asyncio
import io
import json
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import aiohttp
import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import typer

from bench.lab import figures
from bench.lab.figures import Figure
from bench.lab.options import Options
from hack.cluster import clients
from hack.demo import load, models
from hack.demo.models import Model
from hack.demo.place import Place, find
from hack.demo.stage import NAMESPACE, OPERATOR_NAMESPACE, Stage

NAME: Final = "mirror"
HOST: Final = "mirror.example.com"
PODS: Final = 5
PERCENT: Final = 20
USED: Final = 0.6  # of what the model servers can serve
SECONDS: Final = 0.02  # that a model takes for a request, one at a time
TARGET: Final = 10  # percent that p99 may grow by
_SETTLE: Final = 3.0  # seconds in which a gateway takes a route, and what was begun before ends

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Device:
    """Stands for an accelerator: one request at a time, in a time of its own, and no processor of this machine's.

    Model servers that compete with gateway, users and inspector for two cores would say how small the machine is.
    """

    def predict(self, rows: Any) -> Any:
        """The same label for every row."""
        time.sleep(SECONDS)
        return np.zeros(len(rows), dtype=np.int64)


def _model(version: str) -> Model:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    file = io.BytesIO()
    cloudpickle.dump(Device(), file)
    return Model(version, f"waits {SECONDS * 1000:g} ms", file.getvalue(), None)


@dataclass
class Asked:
    """What users saw: seconds that each answer took, and how many requests were not answered with 200."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def p99(self) -> float:
        """Milliseconds."""
        return figures.quantile(self.seconds, 0.99) * 1000


class Users:
    """Users of the model at the gateway."""

    def __init__(self, client: aiohttp.ClientSession, gateway: str, seed: int) -> None:
        self._client = client
        self._url = f"{gateway}/v2/models/{NAME}/infer"
        self._bodies = models.requests()
        self._draw = random.Random(seed)

    async def ask(self, into: Asked) -> None:
        """One request."""
        headers = {"host": HOST, "content-type": "application/json"}
        begun = time.monotonic()
        async with self._client.post(self._url, data=self._draw.choice(self._bodies), headers=headers) as answer:
            await answer.read()
        into.seconds.append(time.monotonic() - begun)
        into.failed += answer.status != 200

    async def come(self, rate: float, seconds: float, into: Asked) -> None:
        """So many a second, whenever they like (Poisson), however slow the answers are."""
        begin, at = time.monotonic(), 0.0
        waiting: set[asyncio.Task[None]] = set()
        while (at := at + self._draw.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
            task = asyncio.create_task(self.ask(into))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def most(self, seconds: float) -> float:
        """Requests a second where the next one comes as soon as one is answered, four for each pod."""
        asked, end = Asked(), time.monotonic() + seconds

        async def on() -> None:
            while time.monotonic() < end:
                await self.ask(asked)

        await asyncio.gather(*(on() for _ in range(4 * PODS)))
        return len(asked.seconds) / seconds


class Scene:
    """The model in the cluster, its route and its pods in our hands."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._filters = "[]"

    async def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        where = f"--namespace={NAMESPACE}"
        return await asyncio.to_thread(clients.kubectl, self._place.kubeconfig, where, *words, stdin=stdin)

    async def serve(self, version: str) -> None:
        """Apply a version."""
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(_modeldeployment(version)))

    async def until(self, path: str, value: str) -> None:
        """Wait until a field of the ModelDeployment has a value."""
        await self.kubectl("wait", f"modeldeployment/{NAME}", f"--for=jsonpath={path}={value}", "--timeout=180s")

    async def take_over(self) -> None:
        """Send the operator away: route and pods stay as they are, and are ours to change."""
        operator = (f"--namespace={OPERATOR_NAMESPACE}", "deployment/pointsman")
        await asyncio.to_thread(clients.kubectl, self._place.kubeconfig, "scale", "--replicas=0", *operator)
        self._filters = await self.kubectl("get", "httproute", NAME, "-o", "jsonpath={.spec.rules[0].filters}")

    async def mirror(self, *, on: bool) -> None:
        """Have copies made, or not."""
        change = {"op": "add", "path": "/spec/rules/0/filters", "value": json.loads(self._filters) if on else []}
        await self.kubectl("patch", "httproute", NAME, "--type=json", "-p", json.dumps([change]))

    async def scale(self, pods: int) -> None:
        """Give stable so many pods."""
        stable = await self.kubectl("get", "modeldeployment", NAME, "-o", "jsonpath={.status.stable.revision}")
        await self.kubectl("scale", f"deployment/{stable}", f"--replicas={pods}")
        await self.kubectl("rollout", "status", f"deployment/{stable}", "--timeout=120s")

    async def received(self) -> int:
        """Copies that the inspector got."""
        pod = await self.kubectl(
            "get", "pod", "-l", "pointsman.dev/component=inspector", "-o", "jsonpath={.items[0].metadata.name}"
        )
        text = await self.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8081/proxy/metrics")
        (line,) = (one for one in text.splitlines() if one.startswith("pointsman_inspector_received_total "))
        return int(float(line.split()[1]))


def _modeldeployment(version: str) -> dict[str, Any]:
    uri = f"http://files.{NAMESPACE}.svc.cluster.local/{version}/model.joblib"
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {"version": version, "format": {"name": "sklearn"}, "storageUri": uri},
            "replicas": PODS,
            "traffic": {
                "parentRefs": [{"name": "models", "namespace": "envoy-gateway-system"}],
                "hostnames": [HOST],
            },
            "rollout": {
                "steps": [{"shadow": {"percent": PERCENT}, "hold": "12h"}, {"approval": {}}],
                "gates": [{"name": "answers", "signal": "Agreement", "atLeast": "99"}],
                "deadline": "24h",
                "interval": "5s",
                "warmup": {"duration": "2s", "requests": 10},
                "capacity": {"maxSurge": 1, "maxUnavailable": 0},
            },
        },
    }


@dataclass(frozen=True, kw_only=True)
class Round:
    """Users with copies off and on, one after the other."""

    off: Asked
    on: Asked


async def alternating(
    scene: Scene, users: Users, *, rate: float, rounds: int, seconds: float, pods: int
) -> list[Round]:
    """Copies off and on in turn, stable with `pods` pods while they are on; who is first changes every time."""
    done = []
    for number in range(rounds):
        found = {False: Asked(), True: Asked()}
        for on in (False, True) if number % 2 == 0 else (True, False):
            if pods != PODS:
                await scene.scale(pods if on else PODS)
            await scene.mirror(on=on)
            await users.come(rate, _SETTLE, Asked())
            await users.come(rate, seconds, found[on])
        done.append(Round(off=found[False], on=found[True]))
    return done


def _grown(what: str, rounds: Iterable[Round], *, target: float | None) -> list[Figure]:
    off, on = Asked(), Asked()
    each = []
    for one in rounds:
        off.seconds += one.off.seconds
        on.seconds += one.on.seconds
        each.append(100 * (one.on.p99() / one.off.p99() - 1))
    return [
        Figure(figure=f"{what}: users' p99, copies off", value=off.p99(), unit="ms"),
        Figure(figure=f"{what}: users' p99, copies on", value=on.p99(), unit="ms"),
        Figure(figure=f"{what}: p99 grew by", value=100 * (on.p99() / off.p99() - 1), unit="%", target=target),
        Figure(figure=f"{what}: grew by in the median round", value=figures.quantile(each, 0.5), unit="%"),
        Figure(
            figure=f"{what}: median grew by",
            value=100 * (figures.quantile(on.seconds, 0.5) / figures.quantile(off.seconds, 0.5) - 1),
            unit="%",
        ),
        Figure(figure=f"{what}: requests", value=len(off.seconds) + len(on.seconds), unit="requests"),
    ]


async def run(options: Options, place: Place) -> list[Figure]:
    """Find out what the servers can serve, then alternate."""
    rounds, seconds = options.of(quick=1, full=4), options.of(quick=5.0, full=20.0)
    scene, stage = Scene(place), await Stage.open(place.kubeconfig)
    try:
        await stage.define()
        await stage.clear()
        await stage.install(place.values)
        await stage.publish([_model("v1"), _model("v2")], image=place.python)
        async with load.client() as client:
            users = Users(client, place.gateway, options.seed)
            await scene.serve("v1")
            await scene.until("{.status.stable.readyReplicas}", str(PODS))
            await users.come(10.0, 5.0, Asked())
            capacity = await users.most(options.of(quick=3.0, full=10.0))
            rate = USED * capacity
            await scene.serve("v2")
            await scene.until("{.status.rollout.shadowPercent}", str(PERCENT))
            await scene.take_over()
            before = await scene.received()
            same = await alternating(scene, users, rate=rate, rounds=rounds, seconds=seconds, pods=PODS)
            copies = await scene.received() - before
            room = await alternating(
                scene, users, rate=rate, rounds=rounds, seconds=seconds, pods=PODS + PODS * PERCENT // 100
            )
        await stage.clear()
    finally:
        await stage.close()
    mirrored = rate * rounds * (seconds + _SETTLE) * PERCENT / 100
    failed = sum(one.off.failed + one.on.failed for one in (*same, *room))
    return [
        Figure(figure="what the model servers can serve", value=capacity, unit="requests/s"),
        Figure(figure="users come", value=rate, unit="requests/s"),
        Figure(figure="copies received of those expected", value=100 * copies / mirrored, unit="%"),
        *_grown("servers as used as without copies", room, target=TARGET),
        *_grown("no room for replays", same, target=None),
        Figure(figure="users' failed requests", value=failed, unit="requests", target=0),
    ]


@app.command()
def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: that it runs, not what to quote.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 1,
) -> None:
    """Measure; the exit status is 1 where a figure misses its target."""
    options = Options(size="quick" if quick else "full", seed=seed)
    with find("local", keep=False) as place:
        found = asyncio.run(run(options, place))
    raise typer.Exit(int(figures.report(NAME, f"{options.size}, seed {seed}", found)))


if __name__ == "__main__":
    app()
