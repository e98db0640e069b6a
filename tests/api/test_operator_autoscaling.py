"""HPAs of ours, of others, and people who scale: against Kubernetes' own HPA controller, which here has no metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from pointsman.cluster.kinds import AUTOSCALER, WORKLOAD
from tests.api.conftest import Site
from tests.api.operator_model import Model
from tests.api.operator_server import Object, eventually

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

SCALING = {"minReplicas": 2, "maxReplicas": 4}


def bounds(model: Model) -> dict[str, tuple[int, int]]:
    """minReplicas and maxReplicas of every HPA of a model, by revision."""
    found = {name: obj["spec"] for (kind, name), obj in model.children().items() if kind == AUTOSCALER.name}
    return {name: (spec["minReplicas"], spec["maxReplicas"]) for name, spec in found.items()}


def asked(model: Model, revision: str) -> int:
    """Pods that a revision's Deployment asks for."""
    obj = model.server.get(WORKLOAD, revision)
    return 0 if obj is None else int(obj["spec"]["replicas"])


def scale(model: Model, revision: str, replicas: int) -> None:
    """`kubectl scale` of a Deployment."""
    model.edit(WORKLOAD, revision, {"spec": {"replicas": replicas}})


def applied_by_us(model: Model, revision: str) -> Object:
    """The fields under `spec` of a Deployment that the operator has by server-side apply."""
    obj = model.server.get(WORKLOAD, revision)
    assert obj is not None
    entries = [one for one in obj["metadata"]["managedFields"] if one["operation"] == "Apply"]
    return next(one["fieldsV1"]["f:spec"] for one in entries if one["manager"] == "pointsman")


def test_an_hpa_takes_over_and_gives_back_without_a_pod_less(site: Site, model: Make) -> None:
    churn = model(replicas=3)
    churn.apply("1")
    churn.until_serves("1")
    revision = churn.revision()
    pods = churn.pods(revision)
    churn.apply(replicas=None, autoscaling=SCALING)
    eventually(lambda: bounds(churn), lambda found: found == {revision: (2, 4)})
    assert (churn.pods(revision), asked(churn, revision)) == (pods, 3)
    assert "f:replicas" not in applied_by_us(churn, revision)

    scale(churn, revision, 4)  # as its HPA would
    site.reconciles(1)
    churn.until(lambda status: status["stable"]["replicas"] == 4)
    assert asked(churn, revision) == 4
    scale(churn, revision, 0)  # switches an HPA off
    eventually(lambda: asked(churn, revision), lambda count: count == 2)

    churn.apply(replicas=3, autoscaling=None)
    eventually(lambda: (bounds(churn), asked(churn, revision)), lambda found: found == ({}, 3))
    assert "f:replicas" in applied_by_us(churn, revision)


def test_a_rollout_of_a_model_whose_hpa_counts_four(model: Make) -> None:
    churn = model(autoscaling=SCALING)
    churn.apply("1")
    churn.until_serves("1")
    stable = churn.revision()
    eventually(lambda: bounds(churn), lambda found: found == {stable: (2, 4)})
    scale(churn, stable, 4)
    churn.until(lambda status: status["stable"].get("readyReplicas") == 4)
    churn.apply("2")
    for percent, (of_stable, of_candidate) in {20: ((4, 4), (1, 1)), 50: ((2, 2), (2, 2))}.items():
        status = churn.until_percent(percent)
        churn.annotate("pause", "")
        candidate = status["candidate"]["revision"]
        both = {stable: of_stable, candidate: of_candidate}
        assert status["rollout"]["replicas"] == 4
        eventually(partial(bounds, churn), both.__eq__)
        assert asked(churn, stable) + asked(churn, candidate) <= 5
        churn.annotate("pause", None)
    churn.until_ended("Promoted")
    eventually(lambda: bounds(churn), lambda found: found == {churn.revision(): (4, 4)})
    assert churn.status["keptPods"]["replicas"] == 4
    eventually(lambda: churn.server.get(AUTOSCALER, stable), lambda found: found is None)


def test_somebody_elses_hpa_on_a_deployment_of_fixed_size_is_told_off(model: Make) -> None:
    churn = model(replicas=2)
    churn.apply("1")
    churn.until_serves("1")
    revision = churn.revision()
    churn.server.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": f"{churn.name}-theirs", "namespace": churn.server.namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision},
                "minReplicas": 3,
                "maxReplicas": 5,
            },
        }
    )
    churn.until_event("SetBack", revision, "spec.replicas", "autoscaling")
    churn.server.delete(AUTOSCALER, f"{churn.name}-theirs")
    eventually(lambda: asked(churn, revision), lambda count: count == 2)
