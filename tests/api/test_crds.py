"""The CRDs as the real API server takes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster
    from tests.conftest import Admission

pytestmark = pytest.mark.bare

PLURALS = ["modeldeployments", "modelrevisions", "modelruntimes", "rolloutpolicies"]


@pytest.mark.parametrize("plural", PLURALS)
def test_the_server_finds_no_fault_in_the_schema(crds: Cluster, plural: str) -> None:
    status = json.loads(crds.kubectl("get", "crd", f"{plural}.pointsman.dev", "-o", "json"))["status"]
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def deployment(name: str = "churn", **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"version": "7"}, "runtime": "mlserver", **spec},
    }


def test_an_unknown_field_is_refused_by_name(admission: Admission) -> None:
    (complaint,) = admission.complaints(deployment(replcas=3))
    assert 'unknown field "spec.replcas"' in complaint.message


def test_nothing_in_a_model_deployment_is_defaulted(admission: Admission) -> None:
    written = deployment(metrics={"port": 8082, "latency": {"histogram": "h"}}, template={"spec": {}}, port=8080)
    del written["spec"]["runtime"]  # type: ignore[attr-defined]
    assert admission.accepted(written)["spec"] == written["spec"]


def test_what_a_template_holds_is_kept_whole(admission: Admission) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "model", "env": []}], "x": None}}
    assert admission.accepted(deployment(template=template))["spec"]["template"] == template


def test_a_policy_shows_its_defaults(admission: Admission) -> None:
    policy = {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": {"name": "empty"},
        "spec": {},
    }
    assert admission.accepted(policy)["spec"] == {
        "interval": "10s",
        "deadline": "2h",
        "whenUndecided": "Hold",
        "progressDeadline": "10m",
        "keepPrevious": "30m",
    }


def test_kubectl_scale_writes_replicas(admission: Admission, crds: Cluster) -> None:
    admission.create(deployment("scaled", replicas=2))
    crds.kubectl("scale", "-n", admission.namespace, "mdep/scaled", "--replicas=5")
    spec = crds.kubectl("get", "-n", admission.namespace, "mdep/scaled", "-o", "jsonpath={.spec.replicas}")
    assert spec == "5"


@pytest.mark.parametrize(("percent", "shown"), [(5, "5"), ("0.5", "0.5")])
def test_kubectl_get_shows_the_rollout_in_one_line(
    admission: Admission, crds: Cluster, percent: int | str, shown: str
) -> None:
    stored = admission.create(deployment("listed"))
    at = "2026-11-21T08:00:00Z"
    status = {
        "stable": {"revision": "listed-5f3a9c1b", "version": "6", "replicas": 4, "readyReplicas": 4},
        "candidate": {"revision": "listed-81d0aa37", "version": "7", "replicas": 1, "readyReplicas": 1},
        "rollout": {"attempt": 1, "phase": "Canary", "step": 1, "percent": percent, "startedAt": at},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Serves", "lastTransitionTime": at}],
    }
    admission.update_status({**stored, "status": status})
    head, row = crds.kubectl("get", "-n", admission.namespace, "mdep", "listed").splitlines()
    assert head.split() == ["NAME", "VERSION", "CANDIDATE", "PERCENT", "PHASE", "READY", "AGE"]
    assert row.split()[:6] == ["listed", "6", "7", shown, "Canary", "True"]
