"""The life of a model on a real API server, by the real operator: first version, canary, promotion, rollback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.api.names import DEPLOYMENT, REVISION
from pointsman.cluster.kinds import POD, SERVICE, WORKLOAD
from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import eventually

pytestmark = pytest.mark.bare

Make = Callable[..., Model]


def test_first_version_serves_without_comparison(model: Make) -> None:
    churn = model()
    churn.apply("1")
    status = churn.until_serves("1")
    assert status["url"] == f"http://{churn.name}.example.com"
    assert set(churn.weights()) == {churn.revision()}
    assert "rollout" not in status
    churn.until_event("FirstVersion", "version 1")


def test_good_version_is_promoted_by_weights_and_never_by_a_second_rollout(site: Site, model: Make) -> None:
    churn = model(replicas=2)
    churn.apply("1")
    before = churn.until_serves("1")["stable"]["revision"]
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    assert churn.share(candidate) == 20
    pods, loaded = churn.pods(candidate), site.server.get(WORKLOAD, candidate)
    churn.until_percent(50)
    entry = churn.until_ended("Promoted")
    assert (entry["version"], entry["reason"]) == ("2", "Proven")
    assert "errors: Safe" in entry["message"]
    status = churn.until_serves("2")
    assert status["stable"]["revision"] == candidate
    assert churn.share(candidate) == 100
    assert pods <= churn.pods(candidate)
    promoted = site.server.get(WORKLOAD, candidate)
    assert loaded is not None
    assert promoted is not None
    assert loaded["spec"]["template"] == promoted["spec"]["template"]
    assert churn.record(before)["state"] == "Retired"
    for reason in ("RolloutStarted", "StepStarted", "Promoted"):
        churn.until_event(reason)


def test_failing_version_is_rolled_back_and_not_tried_again_until_asked(model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2-bad")
    entry = churn.until_ended("RolledBack")
    assert (entry["reason"], entry["gate"]) == ("Harm", "errors")
    assert "errors: Harm: " in entry["message"]
    churn.until_event("RolledBack", "version 2-bad", "errors: Harm")
    assert churn.story() == [
        ("Normal", "FirstVersion"),
        ("Normal", "RolloutStarted"),
        ("Normal", "StepStarted"),
        ("Warning", "RolledBack"),
    ]
    refused = entry["revision"]
    assert churn.share(refused) == 0
    churn.until(lambda _: ("Deployment", refused) not in churn.children())
    retry = f"pointsman.dev/retry={refused}/1"
    churn.until_says("UpToDate", "False", "RolledBack", "errors: Harm", retry)
    churn.until_says("Stalled", "True", "RolledBack", "errors: Harm")
    churn.until_says("Ready", "True", "Serving", "version 1")
    assert churn.record(refused)["attempts"][-1]["decidedBy"] == "evidence"
    churn.annotate("retry", f"{refused}/1")
    status = churn.until(lambda s: s.get("rollout", {}).get("attempt") == 2)
    assert status["candidate"]["revision"] == refused


def test_newer_version_takes_the_place_of_the_candidate(model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    superseded = churn.until_percent(20)["candidate"]["revision"]
    churn.apply("3")
    churn.until(lambda s: s.get("candidate", {}).get("version") == "3")
    assert churn.share(superseded) == 0
    churn.until(lambda _: ("Deployment", superseded) not in churn.children())
    assert churn.until_ended("Promoted")["version"] == "3"
    assert [(entry["version"], entry["outcome"]) for entry in churn.status["history"]] == [
        ("3", "Promoted"),
        ("2", "Superseded"),
    ]


def test_going_back_to_the_serving_version_ends_the_rollout(model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    churn.apply("1")
    entry = churn.until_ended("Superseded")
    assert (entry["version"], entry["reason"]) == ("2", "SpecReverted")
    churn.until_serves("1")
    churn.until(lambda _: ("Deployment", candidate) not in churn.children())
    assert churn.share(churn.revision()) == 100


def test_everything_goes_with_the_model_deployment(model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_percent(20)
    assert {kind for kind, _ in churn.children()} == {"Deployment", "Service", "HTTPRoute", "ModelRevision"}
    churn.delete()
    eventually(lambda: [*churn.children(), *churn.server.every(POD, {DEPLOYMENT: churn.name})], lambda left: not left)


def test_without_a_gateway_a_service_leads_to_the_version_that_serves(site: Site, model: Make) -> None:
    rollout = QUICK | {"steps": [{"approval": {}}], "gates": [], "capacity": {"maxSurge": "100%"}}
    churn = model(traffic=None, rollout=rollout, replicas=2)
    churn.apply("1")
    first = churn.until_serves("1")["stable"]["revision"]
    assert selected(site, churn) == first
    churn.apply("2")
    status = churn.until(lambda s: s.get("rollout", {}).get("phase") == "AwaitingApproval")
    candidate = status["candidate"]["revision"]
    assert (status["candidate"]["readyReplicas"], status["stable"]["readyReplicas"]) == (2, 2)
    assert selected(site, churn) == first
    message = churn.until_says("UpToDate", "False", "AwaitingApproval", f"pointsman.dev/approve={candidate}/1/1")
    assert "kubectl annotate modeldeployment" in message
    churn.annotate("approve", f"{candidate}/1/1")
    assert churn.until_ended("Promoted")["reason"] == "Approved"
    assert selected(site, churn) == candidate


def selected(site: Site, model: Model) -> str:
    """The revision whose pods the Service of a model leads to."""
    service = site.server.get(SERVICE, model.name)
    assert service is not None
    revision: str = service["spec"]["selector"][REVISION]
    return revision
