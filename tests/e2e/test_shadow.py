"""Shadow steps with real models under load: wrong answers reach no user, and an inspector that dies harms nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.demo import models
from tests.e2e.conftest import NAMESPACE, Installed, condition, host
from tests.e2e.test_storage import web_server
from tests.sizes import FULL

pytestmark = pytest.mark.cluster

NAME = "shadowed"
RATE = 25.0  # requests a second: replays are requests, too, and the machine has other things to do
MIRRORED = 80  # percent

SHADOW: dict[str, Any] = {"shadow": {"percent": MIRRORED}, "hold": "10s"}
CANARY: dict[str, Any] = {"canary": {"percent": 50}, "hold": "10s"}
APPROVAL: dict[str, Any] = {"approval": {}}

Json = dict[str, Any]


def modeldeployment(version: str, uri: str, *steps: Json, alike: str = "96") -> Json:
    """`alike`: percent of the answers that have to be."""
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {"version": version, "format": {"name": "sklearn"}, "storageUri": uri},
            "replicas": 1,
            "traffic": {
                "parentRefs": [{"name": "models", "namespace": "envoy-gateway-system"}],
                "hostnames": [host(NAME)],
            },
            "rollout": {
                "steps": list(steps),
                "gates": [
                    {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "3"}},
                    {"name": "answers", "signal": "Agreement", "atLeast": alike},
                ],
                "interval": "5s",
                "warmup": {"duration": "2s", "requests": 10},
                "capacity": {"maxSurge": 1},
                "progressDeadline": "180s",
                "keepPrevious": "0s",
            },
        },
    }


def large() -> bytes:
    """A valid request that is larger than what an inspector takes: the same row many times."""
    (tensor,) = json.loads(models.requests()[0])["inputs"]
    rows = 5_000
    return json.dumps({"inputs": [{**tensor, "shape": [rows, 30], "data": tensor["data"] * rows}]}).encode()


@pytest.fixture(scope="module")
def below(installed: Installed, model_files: Path) -> Iterator[Callable[[str], str]]:
    """The URI of a model file by the name of its folder; the right one serves."""
    top = web_server(installed, model_files)

    def uri(name: str) -> str:
        return top.replace("/model.joblib", f"/{name}/model.joblib")

    installed.apply(modeldeployment("1", uri("right"), SHADOW, CANARY))
    installed.until_ready(NAME)
    yield uri
    installed.cluster.kubectl("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--timeout=60s")


async def until(installed: Installed, holds: Callable[[Json], Any]) -> Json:
    found = await asyncio.to_thread(installed.until, NAME, holds, seconds=300)
    status: Json = found["status"]
    return status


def mirrors(found: Json) -> bool:
    return bool(found["status"].get("rollout", {}).get("shadowPercent") == MIRRORED)


def ended(version: str) -> Callable[[Json], bool]:
    """Whether the version's rollout is over, and nothing of it is left but its record."""

    def holds(found: Json) -> bool:
        history = found["status"].get("history", [])
        return bool(history) and history[0]["version"] == version and "rollout" not in found["status"]

    return holds


def inspectors(installed: Installed) -> set[str]:
    return set(installed.pods(deployment=NAME, component="inspector"))


async def test_wrong_answers_are_stopped_before_a_user_gets_one(
    installed: Installed, below: Callable[[str], str]
) -> None:
    served: list[str] = []

    async def roll_out() -> None:
        installed.apply(modeldeployment("2", below("wrong"), SHADOW, CANARY, alike="99"))
        now = await until(installed, mirrors)
        served.append(now["candidate"]["revision"])
        last = (await until(installed, ended("2")))["history"][0]
        assert (last["outcome"], last["reason"], last.get("gate")) == ("RolledBack", "Harm", "answers"), last

    users = await installed.while_users_ask(NAME, roll_out, rate=RATE)
    assert users.traffic.failed == 0, users.failures
    assert installed.gateway_requests().get(served[0], 0) == 0
    await until(installed, lambda _: not inspectors(installed))


async def test_the_same_answers_are_promoted_by_way_of_a_canary(
    installed: Installed, below: Callable[[str], str]
) -> None:
    """A few requests are larger than an inspector takes: their users do not notice."""
    seen: list[tuple[str, float]] = []

    def look(found: Json) -> bool:
        rollout = found["status"].get("rollout", {})
        seen.append((rollout.get("phase", ""), float(rollout.get("percent", 0))))
        return ended("3")(found)

    async def roll_out() -> None:
        installed.apply(modeldeployment("3", below("retrained"), SHADOW, CANARY))
        last = (await until(installed, look))["history"][0]
        assert (last["version"], last["outcome"]) == ("3", "Promoted"), last

    bodies = [*models.requests(), large()]
    users = await installed.while_users_ask(NAME, roll_out, rate=RATE, bodies=bodies)
    assert users.traffic.answered > len(bodies)
    assert users.traffic.failed == 0, users.failures
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert [one for one in phases if one in ("Shadow", "Canary")] == ["Shadow", "Canary"]
    assert {percent for phase, percent in seen if phase == "Shadow"} == {0}
    assert ("Canary", 50) in seen


def unscheduled(found: Json) -> bool:
    """Whether the operator says that it sees nothing, and why."""
    observed = condition(found, "Observed")
    return observed["status"] == "False" and "its inspector is not ready: Unschedulable" in observed["message"]


@contextmanager
def cordoned(installed: Installed) -> Iterator[None]:
    """No new pod finds a node meanwhile."""
    node = installed.cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    installed.cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        installed.cluster.kubectl("uncordon", node)


@pytest.mark.skipif(not FULL, reason="takes a minute more: make test-full")
async def test_an_inspector_that_is_killed_is_waited_for_and_an_approval_promotes(
    installed: Installed, below: Callable[[str], str]
) -> None:
    async def roll_out() -> None:
        installed.apply(modeldeployment("4", below("right"), SHADOW, APPROVAL))
        await until(installed, lambda found: mirrors(found) and condition(found, "Observed")["status"] == "True")
        with cordoned(installed):
            (inspector,) = inspectors(installed)
            installed.cluster.kubectl("delete", "pod", inspector, "-n", NAMESPACE, "--force", "--grace-period=0")
            blind = await until(installed, unscheduled)
            assert (blind["rollout"]["phase"], blind["rollout"]["percent"]) == ("Shadow", 0)
        waits = await until(installed, lambda found: condition(found, "UpToDate")["reason"] == "AwaitingApproval")
        assert mirrors({"status": waits})
        rollout, revision = waits["rollout"], waits["candidate"]["revision"]
        assert installed.gateway_requests().get(revision, 0) == 0
        approval = f"pointsman.dev/approve={revision}/{rollout['attempt']}/{rollout['step']}"
        installed.cluster.kubectl("annotate", "modeldeployment", NAME, "-n", NAMESPACE, approval)
        last = (await until(installed, ended("4")))["history"][0]
        assert (last["outcome"], last["reason"]) == ("Promoted", "Approved"), last

    users = await installed.while_users_ask(NAME, roll_out, rate=RATE)
    assert users.traffic.failed == 0, users.failures
    await until(installed, lambda _: not inspectors(installed))
