"""What the schema refuses without a rule of ours, and what the operator's own writing of status looks like to it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pointsman.api.conditions import condition
from pointsman.api.modeldeployment import Action, ArmStatus, HistoryEntry, ModelDeploymentStatus, RolloutStatus
from pointsman.api.modelrevision import EVIDENCE_LIMIT, Attempt, GateRecord, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeStatus
from pointsman.api.rolloutpolicy import RolloutPolicyStatus
from pointsman.rollout.policy import effective

if TYPE_CHECKING:
    from pointsman.api.values import ApiModel
    from tests.conftest import Admission

pytestmark = pytest.mark.bare

Object = dict[str, Any]

AT = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "model", "image": "registry.example.com/churn:7"}]}}
SPECS: dict[str, Object] = {
    "ModelDeployment": {"model": {"version": "7"}, "runtime": "mlserver"},
    "ModelRevision": {"deployment": "churn", "model": {"version": "7"}, "template": TEMPLATE, "port": 8080},
    "ModelRuntime": {"template": TEMPLATE, "port": 8080},
    "RolloutPolicy": {},
}


def obj(kind: str, name: str = "structure", **spec: object) -> Object:
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**copy.deepcopy(SPECS[kind]), **spec},
    }


ERRORS = {"name": "errors", "signal": "Errors"}
LATENCY = {"name": "latency", "signal": "Latency"}
CANARY = {"canary": {"percent": 5}}
REQUESTS = {"counter": "requests_total", "failed": {"code": "5.."}}


@pytest.mark.parametrize(
    ("kind", "spec", "field", "words"),
    [
        ("ModelDeployment", {"model": {}}, "spec.model.version", "Required value"),
        ("ModelDeployment", {"model": {"version": ""}}, "spec.model.version", "at least 1 chars long"),
        ("ModelDeployment", {"model": {"version": 7}}, "spec.model.version", "must be of type string"),
        ("ModelDeployment", {"replicas": 0}, "spec.replicas", "greater than or equal to 1"),
        ("ModelDeployment", {"traffic": {"parentRefs": []}}, "spec.traffic.parentRefs", "at least 1 items"),
        (
            "ModelDeployment",
            {"traffic": {"parentRefs": [{"name": "models"}], "hostnames": ["a.example", "a.example"]}},
            "spec.traffic.hostnames[1]",
            "Duplicate value",
        ),
        ("ModelRuntime", {"formats": [{"name": "a"}, {"name": "a"}]}, "spec.formats[1]", "Duplicate value"),
        ("ModelRuntime", {"port": None}, "spec.port", "Required value"),
        (
            "ModelRuntime",
            {"metrics": {"port": 8082, "requests": {**REQUESTS, "failed": {}}}},
            "spec.metrics.requests.failed",
            "at least 1 properties",
        ),
        (
            "ModelRuntime",
            {"metrics": {"port": 8082, "latency": {"histogram": "h", "unit": "m"}}},
            "spec.metrics.latency.unit",
            'supported values: "s", "ms", "us"',
        ),
        ("RolloutPolicy", {"steps": []}, "spec.steps", "at least 1 items"),
        ("RolloutPolicy", {"steps": [CANARY] * 21}, "spec.steps", "must have at most 20 items"),
        ("RolloutPolicy", {"gates": [ERRORS, ERRORS]}, "spec.gates[1]", "Duplicate value"),
        ("RolloutPolicy", {"gates": [{"signal": "Errors"}]}, "spec.gates[0].name", "Required value"),
        ("RolloutPolicy", {"gates": [{**ERRORS, "signal": "Vibes"}]}, "spec.gates[0].signal", '"Errors", "Latency"'),
        (
            "RolloutPolicy",
            {"gates": [{**LATENCY, "quantiles": ["0.5", "0.5"]}]},
            "spec.gates[0].quantiles[1]",
            "Duplicate value",
        ),
        ("RolloutPolicy", {"gates": [{**LATENCY, "quantiles": []}]}, "spec.gates[0].quantiles", "at least 1 items"),
        ("RolloutPolicy", {"whenUndecided": "Wait"}, "spec.whenUndecided", '"Hold", "Rollback", "Promote"'),
        ("RolloutPolicy", {"warmup": {"requests": -1}}, "spec.warmup.requests", "greater than or equal to 0"),
    ],
)
def test_the_schema_refuses(admission: Admission, kind: str, spec: Object, field: str, words: str) -> None:
    complaints = admission.complaints(obj(kind, **spec))
    assert any(c.field == field and words in c.message for c in complaints), complaints


STABLE = ArmStatus(revision="churn-5f3a9c1b", version="6", replicas=4, ready_replicas=4)
READY = condition("Ready", holds=True, reason="Serves", message="serves version 6", now=AT, generation=3)
DEPLOYMENT = ModelDeploymentStatus(
    observed_generation=3,
    url="http://churn.example.com",
    stable=STABLE,
    candidate=STABLE,
    previous=STABLE,
    previous_until=AT,
    rollout=RolloutStatus(attempt=1, phase="Canary", step=1, percent="0.5", started_at=AT, hold_started_at=AT),
    actions=[Action(name="abort", value="churn-81d0aa37/1", at=AT)] * 10,
    history=[
        HistoryEntry(
            version="5", revision="churn-1", attempt=1, outcome="RolledBack", reason="Harm", gate="latency", at=AT
        )
    ]
    * 10,
    conditions=[READY],
)
GATE = GateRecord(name="errors", signal="Errors", verdict="Undecided", estimate="1.2", interval=["0.8", "1.9"])
REVISION = ModelRevisionStatus(
    state="Candidate",
    attempts=[
        Attempt(
            attempt=number,
            started_at=AT,
            policy=effective(None, None, None),
            gates=[GATE] * 20,
            ended_at=AT,
            outcome="Superseded",
            decided_by="spec",
        )
        for number in range(1, 11)
    ],
    evidence="x" * EVIDENCE_LIMIT,
    drift="x" * EVIDENCE_LIMIT,
    looked_at=AT,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ModelDeployment", DEPLOYMENT),
        ("ModelRevision", REVISION),
        ("ModelRuntime", ModelRuntimeStatus(observed_generation=1, conditions=[READY])),
        ("RolloutPolicy", RolloutPolicyStatus(observed_generation=1, conditions=[READY])),
    ],
)
def test_a_status_is_stored_as_the_operator_writes_it(admission: Admission, kind: str, status: ApiModel) -> None:
    """At its largest, too: nothing is pruned, nothing is defaulted, and it is read as it was written."""
    stored = admission.create(obj(kind))
    try:
        answer = admission.update_status({**stored, "status": status.dump()})
        assert answer["status"] == status.dump()
        assert type(status).model_validate(answer["status"]) == status
    finally:
        admission.delete(stored)
