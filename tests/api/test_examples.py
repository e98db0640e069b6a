"""What we show to users works: the real API server takes the examples, and the pods they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.render.template import finished_template
from pointsman.rollout import policy
from pointsman.signals.profiles import Question, ask

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster
    from tests.conftest import Admission

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
RUNTIMES = sorted((REPOSITORY / "charts" / "pointsman" / "runtimes").glob("*.yaml"))
POLICIES = sorted((REPOSITORY / "charts" / "pointsman" / "policies").glob("*.yaml"))

Object = dict[str, Any]


def objects(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def of_kind(kind: str, files: list[Path]) -> dict[str, Object]:
    return {obj["metadata"]["name"]: obj for file in files for obj in objects(file) if obj["kind"] == kind}


DEPLOYMENTS = [
    (file, ModelDeploymentSpec.model_validate(obj["spec"]))
    for file in EXAMPLES
    for obj in objects(file)
    if obj["kind"] == "ModelDeployment"
]
RUNTIME_SPECS = {
    runtime: ModelRuntimeSpec.model_validate(obj["spec"]) for runtime, obj in of_kind("ModelRuntime", RUNTIMES).items()
}


def runtime_of(spec: ModelDeploymentSpec) -> ModelRuntimeSpec | None:
    """The shipped runtime that serves it; None for a template alone."""
    if spec.model.format is None:
        return None
    wanted = spec.model.format.name
    (found,) = [
        runtime
        for runtime in RUNTIME_SPECS.values()
        if any(offered.name == wanted and offered.auto_select for offered in runtime.formats)
    ]
    return found


def test_there_is_something_to_test() -> None:
    assert {"sklearn-canary.yaml", "blue-green.yaml", "own-container.yaml", "plain-service.yaml"} <= {
        file.name for file in EXAMPLES
    }
    assert "mlserver" in RUNTIME_SPECS


@pytest.mark.bare
@pytest.mark.parametrize("file", [*EXAMPLES, *RUNTIMES, *POLICIES], ids=lambda file: file.name)
def test_the_api_server_takes_it(admission: Admission, file: Path) -> None:
    for obj in objects(file):
        assert admission.complaints(obj) == []


@pytest.mark.parametrize(("file", "spec"), DEPLOYMENTS, ids=[file.name for file, _ in DEPLOYMENTS])
def test_its_policy_is_there_and_coherent(file: Path, spec: ModelDeploymentSpec) -> None:
    named = None
    if spec.rollout is not None and spec.rollout.policy is not None:
        written = of_kind("RolloutPolicy", [file, *POLICIES])[spec.rollout.policy]
        named = RolloutPolicySpec.model_validate(written["spec"])
    runtime = runtime_of(spec)
    metrics = spec.metrics if runtime is None else runtime.metrics
    fields = policy.effective(spec.rollout, named, metrics)
    assert policy.faults(fields, spec.replicas or 1) is None
    for gate in fields.gates or ():
        answer = ask(gate, stable=metrics, candidate=metrics, gateway=None, routed=spec.traffic is not None)
        assert isinstance(answer, Question), answer


@pytest.mark.bare
@pytest.mark.parametrize("spec", [spec for _, spec in DEPLOYMENTS], ids=[file.name for file, _ in DEPLOYMENTS])
def test_the_api_server_takes_the_pods(crds: Cluster, spec: ModelDeploymentSpec) -> None:
    finished = finished_template(
        deployment="example",
        revision="example-0123abcd",
        spec=spec,
        runtime=runtime_of(spec),
        initializer_image="registry.example.com/storage-initializer:1",
    )
    selected = {"pointsman.dev/revision": "example-0123abcd"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"selector": {"matchLabels": selected}, "template": finished.template},
    }
    crds.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name", stdin=json.dumps(deployment)
    )
