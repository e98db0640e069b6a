from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pointsman.cluster.kinds import POD
from pointsman.controller.pods import pod
from tests.cluster.objects import obj

AT = "2026-01-01T10:00:00Z"
WHEN = datetime(2026, 1, 1, 10, tzinfo=UTC)


def container(name: str = "model", restarts: int = 0, *, ready: bool = False, last: Any = None, **state: Any) -> Any:
    return {"name": name, "restartCount": restarts, "ready": ready, "state": state, "lastState": last or {}}


def status(*containers: Any, init: Any = (), **conditions: str) -> dict[str, Any]:
    said = [{"type": type_, "status": value, "lastTransitionTime": AT} for type_, value in conditions.items()]
    return {"containerStatuses": list(containers), "initContainerStatuses": list(init), "conditions": said}


RUNNING = {"startedAt": AT}
UNSCHEDULABLE = {
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    ]
}

PROBLEMS = [
    pytest.param(status(container(running=RUNNING, ready=True), Ready="True"), None, id="ready"),
    pytest.param({}, None, id="just created: nothing is wrong yet"),
    pytest.param(status(container(waiting={"reason": "ContainerCreating"})), None, id="being created"),
    pytest.param(
        status(container(waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x:2"'})),
        'ImagePullBackOff: Back-off pulling image "x:2"',
        id="an image that cannot be pulled",
    ),
    pytest.param(
        status(
            container(
                restarts=3,
                waiting={"reason": "CrashLoopBackOff", "message": "back-off 40s restarting"},
                last={"terminated": {"exitCode": 1, "reason": "Error", "message": "no such file: model.joblib\n"}},
            )
        ),
        "CrashLoopBackOff: no such file: model.joblib",
        id="its own last words rather than the kubelet's",
    ),
    pytest.param(
        status(
            container(
                waiting={"reason": "CrashLoopBackOff"}, last={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
            )
        ),
        "CrashLoopBackOff: exit code 137, OOMKilled",
        id="no last words: how it ended",
    ),
    pytest.param(
        status(
            container(waiting={"reason": "PodInitializing"}),
            init=[container("storage", terminated={"exitCode": 2, "reason": "Error", "message": "404 for the model"})],
        ),
        "Error: 404 for the model",
        id="the model could not be fetched",
    ),
    pytest.param(UNSCHEDULABLE, "Unschedulable: 0/3 nodes are available", id="no node has room"),
    pytest.param({"reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory", id="evicted"),
    pytest.param(
        status(container(running=RUNNING), Ready="False"),
        "NotReady: container model runs, and its readiness probe does not succeed",
        id="runs and does not get ready",
    ),
]


@pytest.mark.parametrize(("status", "problem"), PROBLEMS)
def test_why_a_pod_is_not_ready_in_its_own_words(status: dict[str, Any], problem: str | None) -> None:
    assert pod(obj(POD, "churn-1-abc", status=status)).problem == problem


def test_restarts_are_the_model_containers() -> None:
    sidecar = container("proxy", restarts=9, running=RUNNING, ready=True)
    read = pod(obj(POD, "a", status=status(sidecar, container(restarts=2, running=RUNNING, ready=True), Ready="True")))
    assert (read.restarts, read.restarted_at, read.ready_since) == (2, WHEN, WHEN)
    first = pod(obj(POD, "a", status=status(container(running=RUNNING, ready=True), Ready="True")))
    assert (first.restarts, first.restarted_at) == (0, None)
