"""What the demo applies is what the API takes, and what it sets is what the chart knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.demo import place, stage
from hack.demo.chapters import STORY

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"


@pytest.mark.bare
def test_the_api_server_takes_the_policy_and_the_versions(bare: Cluster) -> None:
    bare.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    bare.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRDS)
    policies = [file.read_text() for file in (ROOT / "hack/demo/manifests").glob("policy*.yaml")]
    version = stage.manifest("v2", "demo").replace("namespace: pointsman-demo\n", "namespace: default\n", 1)
    for text in (*policies, version):
        assert "dry run" in bare.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def test_the_policy_is_the_issues() -> None:
    policy = stage.policy("demo")
    assert [step["canary"]["percent"] for step in policy["steps"]] == [5, 25, 50]
    assert {step["hold"] for step in policy["steps"]} == {"20s"}
    assert "confidence" not in policy  # the default
    assert policy["gates"][0]["tolerance"] == {"ratio": "1.5", "points": "0.5"}


def test_the_story_names_policies_that_are_there() -> None:
    for chapter in STORY:
        assert stage.policy(chapter.policy)["steps"]
        assert yaml.safe_load(stage.manifest(chapter.version, chapter.policy))["spec"]["rollout"] == {
            "policy": chapter.policy
        }


@pytest.mark.parametrize("path", place.values("pointsman.local/pointsman:1"))
def test_the_chart_knows_every_value_that_is_set(path: str) -> None:
    values: Any = yaml.safe_load((ROOT / "charts/pointsman/values.yaml").read_text())
    for part in path.split("."):
        assert part in values
        values = values[part]


def test_another_content_is_another_image() -> None:
    reference = place.operator_reference()
    assert reference == place.operator_reference()
    assert len(reference.rsplit(":", 1)[1]) == 12


@pytest.mark.parametrize("version", ["v1", "v6"])
def test_a_version_is_fetched_from_the_demos_own_server(version: str) -> None:
    model = yaml.safe_load(stage.manifest(version, "demo"))["spec"]["model"]
    assert model["version"] == version
    assert model["storageUri"] == f"http://files.{stage.NAMESPACE}.svc.cluster.local/{version}/model.joblib"
