"""The repositories under examples/gitops: the API server takes what they become, and what names a folder names one that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.cluster.problem import SetupError
from pointsman.api.names import DEPLOYMENT
from pointsman.render.users_route import Place, fault

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster
    from tests.conftest import Admission

GITOPS = Path(__file__).parents[2] / "examples" / "gitops"
TEAM, PLATFORM = GITOPS / "team-churn", GITOPS / "platform"
ENVIRONMENTS = ("staging", "production")

Object = dict[str, Any]


def objects(folder: Path) -> list[Object]:
    found = [list(yaml.safe_load_all(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("*.yaml"))]
    return [obj for one in found for obj in one]


@pytest.mark.bare
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_server_takes_a_teams_environment(crds: Cluster, admission: Admission, environment: str) -> None:
    built = list(yaml.safe_load_all(crds.kubectl("kustomize", TEAM / environment)))
    assert sorted(obj["kind"] for obj in built) == ["HTTPRoute", "ModelDeployment"]
    policies = {policy["metadata"]["name"] for policy in objects(PLATFORM / "policies")}
    for obj in built:
        assert obj["metadata"].pop("namespace") == f"churn-{environment}"
        words = (
            "-n",
            admission.namespace,
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        )
        crds.kubectl(*words, stdin=yaml.safe_dump(obj))
        if obj["kind"] == "ModelDeployment":
            version = yaml.safe_load((TEAM / environment / "version.yaml").read_text(encoding="utf-8"))
            assert obj["spec"]["model"]["version"] == version["spec"]["model"]["version"]
            assert obj["spec"]["rollout"]["policy"] in policies
            assert obj["spec"]["traffic"]["routeRef"]["name"] == "churn"


@pytest.mark.bare
def test_the_server_refuses_what_is_wrong_in_them(crds: Cluster, admission: Admission) -> None:
    """The test above can fail."""
    wrong = yaml.safe_load((TEAM / "base" / "model.yaml").read_text(encoding="utf-8"))
    wrong["spec"]["traffic"]["hostnames"] = ["churn.example.com"]
    words = ("-n", admission.namespace, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    with pytest.raises(SetupError, match="remove `hostnames`"):
        crds.kubectl(*words, stdin=yaml.safe_dump(wrong))


@pytest.mark.bare
@pytest.mark.parametrize("policy", objects(PLATFORM / "policies"), ids=lambda policy: policy["metadata"]["name"])
def test_the_server_takes_the_policies(admission: Admission, policy: Object) -> None:
    assert admission.complaints(policy) == []


def test_a_version_goes_from_one_environment_to_the_next_as_it_is() -> None:
    staging, production = (
        yaml.safe_load((TEAM / environment / "version.yaml").read_text(encoding="utf-8"))
        for environment in ENVIRONMENTS
    )
    assert staging.keys() == production.keys()
    assert staging["metadata"] == production["metadata"]
    assert staging["spec"].keys() == production["spec"].keys() == {"model"}


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        *(
            (obj, obj["spec"]["source"]["path"])
            for obj in objects(PLATFORM / "applications")
            if "source" in obj["spec"]
        ),
        *((obj, obj["spec"]["path"]) for obj in objects(GITOPS / "flux")),
    ],
    ids=lambda value: value if isinstance(value, str) else value["metadata"]["name"],
)
def test_every_path_is_there(obj: Object, path: str) -> None:
    roots = {"pointsman": GITOPS.parents[1], "policies": PLATFORM}
    assert (roots.get(obj["metadata"]["name"], TEAM) / path).is_dir()


def blocks(language: str) -> list[str]:
    """The code blocks of docs/gitops.md in a language."""
    text = (GITOPS.parents[1] / "docs" / "gitops.md").read_text(encoding="utf-8")
    return [part.partition("\n")[2] for part in text.split("```")[1::2] if part.startswith(f"{language}\n")]


def test_the_page_says_what_the_example_does() -> None:
    route, application = map(yaml.safe_load, blocks("yaml"))
    assert fault(route["spec"]["rules"], Place(deployment="churn", behind=None)) is None
    assert route["metadata"]["labels"] == {DEPLOYMENT: "churn"}
    written = yaml.safe_load((PLATFORM / "applications" / "churn-production.yaml").read_text(encoding="utf-8"))
    assert application == written
    of_staging = yaml.safe_load((PLATFORM / "applications" / "churn-staging.yaml").read_text(encoding="utf-8"))["spec"]
    assert (of_staging["syncPolicy"], of_staging["ignoreDifferences"]) == (
        written["spec"]["syncPolicy"],
        written["spec"]["ignoreDifferences"],
    )


@pytest.mark.bare
def test_the_server_takes_the_route_of_the_page(crds: Cluster, admission: Admission) -> None:
    words = ("-n", admission.namespace, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    crds.kubectl(*words, stdin=blocks("yaml")[0])
