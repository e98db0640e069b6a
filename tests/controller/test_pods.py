from __future__ import annotations

from datetime import UTC, datetime, timedelta
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


def died(at: str, began: str, code: int = 1) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": f"2026-01-01T{began}Z", "finishedAt": f"2026-01-01T{at}Z"}}


def when(at: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-01T{at}Z")


# Containers, and how often any of them was restarted, when one died last, and how many seconds it had run.
DEATHS = [
    ([container(running=RUNNING, ready=True)], (0, None, None)),
    ([container(restarts=2, last=died("10:00:30", "10:00:00"), running=RUNNING)], (2, "10:00:30", 30)),
    ([container(restarts=1, last=died("10:00:30", "10:00:00", 0), running=RUNNING)], (1, "10:00:30", 30)),
    ([container(last=None, **died("10:00:05", "10:00:00"))], (0, "10:00:05", 5)),
    (
        [
            container("proxy", restarts=1, last=died("11:00:00", "10:00:00"), running=RUNNING),
            container(restarts=2, last=died("10:30:00", "10:00:00"), running=RUNNING),
        ],
        (3, "11:00:00", 3600),
    ),
]


@pytest.mark.parametrize(("containers", "expected"), DEATHS)
def test_restarts(containers: list[Any], expected: tuple[int, str | None, int | None]) -> None:
    read = pod(obj(POD, "a", status=status(*containers, Ready="True")))
    restarts, at, seconds = expected
    assert read.restarts == restarts
    assert read.restarted_at == (at and when(at))
    assert read.ran_for == (None if seconds is None else timedelta(seconds=seconds))
    assert read.ready_since == WHEN
