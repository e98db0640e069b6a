"""What the API server, the operator and `pointsman lint --server` say of each mistake, on a real API server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hack.cluster.fixtures import Cluster
from pointsman.cli.command import app
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_RUNTIME
from tests.api.conftest import Site, runtime
from tests.api.operator_model import Model
from tests.api.operator_server import QUOTA, eventually
from tests.conftest import Admission
from tests.mistakes.table import MISTAKES, Mistake

pytestmark = pytest.mark.bare

ADMISSION = [one for one in MISTAKES if one.by == "the API server"]
OPERATOR = [one for one in MISTAKES if one.by != "the API server"]
CLUSTER = [one for one in MISTAKES if not one.alone]


def title(mistake: Mistake) -> str:
    return mistake.title


@pytest.fixture
def name(site: Site) -> Iterator[str]:
    """Of a ModelDeployment that goes with the test."""
    made = f"m{uuid.uuid4().hex[:6]}"
    yield made
    site.server.delete(MODEL_DEPLOYMENT, made)


@pytest.mark.parametrize("mistake", ADMISSION, ids=title)
def test_the_api_server_says_it(admission: Admission, mistake: Mistake) -> None:
    obj = yaml.safe_load(mistake.manifest("churn", runtime="server", namespace=admission.namespace))
    complaints = admission.complaints(obj)
    path, _, sentence = mistake.says.partition(": ")
    assert any(
        mistake.server in c.message if mistake.server else c.field == path and c.message.endswith(sentence)
        for c in complaints
    ), complaints


@pytest.mark.parametrize("mistake", OPERATOR, ids=title)
def test_the_operator_says_it(site: Site, name: str, mistake: Mistake) -> None:
    where = {"runtime": site.runtime, "namespace": site.server.namespace}
    site.server.apply(yaml.safe_load(mistake.manifest(name, **where)))

    def accepted() -> dict[str, str]:
        status = (site.server.get(MODEL_DEPLOYMENT, name) or {}).get("status") or {}
        found: list[dict[str, str]] = status.get("conditions", [])
        return next((one for one in found if one["type"] == "Accepted"), {})

    said = eventually(accepted, lambda found: found.get("status") == "False")
    assert said["reason"] == mistake.by
    assert mistake.told(name, **where) in said["message"]
    assert mistake.server in said["message"]


@pytest.mark.parametrize("mistake", CLUSTER, ids=title)
def test_lint_says_what_the_operator_would(
    crds: Cluster, site: Site, name: str, tmp_path: Path, mistake: Mistake
) -> None:
    where = {"runtime": site.runtime, "namespace": site.server.namespace}
    file = tmp_path / "churn.yaml"
    file.write_text(mistake.manifest(name, **where), encoding="utf-8")
    code, said = lint(crds, site, file)
    assert code == 1
    assert said.startswith(f"{file}:{mistake.line()}: ModelDeployment {site.server.namespace}/{name}: ")
    assert mistake.told(name, **where) in said
    assert mistake.server in said


def test_lint_finds_nothing_in_what_is_there_and_right(
    crds: Cluster, site: Site, model: Callable[..., Model], tmp_path: Path
) -> None:
    churn = model()
    churn.apply("1")
    file = tmp_path / "churn.yaml"
    metadata = {"name": churn.name, "namespace": site.server.namespace}
    obj = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": "ModelDeployment", "metadata": metadata}
    file.write_text(yaml.safe_dump(obj | {"spec": churn.spec | {"model": {"version": "2"}}}), encoding="utf-8")
    assert lint(crds, site, file) == (0, "")


def test_lint_finds_the_hostname_of_another_model(
    crds: Cluster, site: Site, model: Callable[..., Model], name: str, tmp_path: Path
) -> None:
    older = model()
    older.apply("1")
    file = tmp_path / "churn.yaml"
    obj = {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": older.spec,
    }
    file.write_text(yaml.safe_dump(obj), encoding="utf-8")
    code, said = lint(crds, site, file)
    assert code == 1
    assert f"belongs to ModelDeployment {site.server.namespace}/{older.name}, which is older; choose another" in said


def test_lint_finds_a_quota_that_is_too_small(crds: Cluster, site: Site, name: str, tmp_path: Path) -> None:
    site.server.post(QUOTA, {"metadata": {"name": name}, "spec": {"hard": {"pods": "0"}}})
    try:
        eventually(lambda: site.server.get(QUOTA, name), lambda quota: quota is not None and quota.get("status"))
        file = tmp_path / "churn.yaml"
        good = Mistake(title="", text="", says="")
        file.write_text(good.manifest(name, runtime=site.runtime, namespace=site.server.namespace), encoding="utf-8")
        code, said = lint(crds, site, file)
    finally:
        site.server.delete(QUOTA, name)
    assert code == 1
    assert "the API server refuses what this spec renders to: pods " in said
    assert f"exceeded quota: {name}" in said


def test_a_metric_that_nobody_exports(crds: Cluster, site: Site, model: Callable[..., Model]) -> None:
    offered = runtime(f"mistaken-{site.runtime}")
    offered["spec"]["metrics"]["requests"]["counter"] = "inference_request_total"
    site.server.create(offered)
    try:
        churn = model(runtime=offered["metadata"]["name"])
        churn.apply("1")
        churn.until_serves("1")
        churn.apply("2")
        churn.until_percent(20)
        site.looks(3)  # more than the hold
        churn.until_says("UpToDate", "False", "InProgress", "not enough evidence for 50 % yet: errors is Undecided")
        assert churn.status["rollout"]["step"] == 1
        where = ("--kubeconfig", str(crds.kubeconfig), "-n", site.server.namespace)
        explained = CliRunner().invoke(app, ["explain", churn.name, *where]).stdout
        assert "candidate: sum(inference_request_total{" in explained
    finally:
        site.server.delete(MODEL_RUNTIME, offered["metadata"]["name"])


def lint(crds: Cluster, site: Site, file: Path) -> tuple[int, str]:
    """Exit code and what is printed of mistakes."""
    where = ("--kubeconfig", str(crds.kubeconfig), "-n", site.server.namespace)
    result = CliRunner().invoke(app, ["lint", "--server", *where, str(file)])
    assert "Traceback" not in result.output
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, result.stdout
