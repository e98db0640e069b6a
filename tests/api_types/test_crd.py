"""The CRDs say what the models say, and keep the promises of the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pointsman.api import crd

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]

Schema = dict[str, Any]


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}".lstrip("."))
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from nodes(schema[nested], f"{path}[]")


def schema(kind: crd.Kind) -> Schema:
    (version,) = crd.definition(kind)["spec"]["versions"]
    whole: Schema = version["schema"]["openAPIV3Schema"]
    return whole


KINDS = pytest.mark.parametrize("kind", crd.kinds(), ids=lambda kind: kind.kind)


def test_the_committed_files_are_what_the_models_say() -> None:
    assert crd.stale(REPOSITORY / "crds") == []


def test_writing_twice_writes_the_same(tmp_path: Path) -> None:
    assert crd.main([str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert crd.main([str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert crd.main([str(tmp_path), "--check"]) == 0


def test_check_names_what_is_stale_missing_and_left_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crd.write(tmp_path)
    (tmp_path / "pointsman.dev_modelruntimes.yaml").write_text("kind: Other\n")
    (tmp_path / "pointsman.dev_rolloutpolicies.yaml").unlink()
    (tmp_path / "pointsman.dev_oldthings.yaml").write_text("")
    assert crd.main([str(tmp_path), "--check"]) == 1
    missing, different, extra = capsys.readouterr().err.splitlines()
    assert "pointsman.dev_rolloutpolicies.yaml does not exist" in missing
    assert "pointsman.dev_modelruntimes.yaml is not what the models say" in different
    assert "pointsman.dev_oldthings.yaml belongs to no model" in extra
    assert "run `python -m pointsman.api.crd" in missing


@pytest.mark.parametrize(
    ("kind", "file", "short", "scope"),
    [
        ("ModelDeployment", "pointsman.dev_modeldeployments.yaml", "mdep", "Namespaced"),
        ("ModelRevision", "pointsman.dev_modelrevisions.yaml", "mrev", "Namespaced"),
        ("ModelRuntime", "pointsman.dev_modelruntimes.yaml", "mrt", "Cluster"),
        ("RolloutPolicy", "pointsman.dev_rolloutpolicies.yaml", "rpol", "Cluster"),
    ],
)
def test_names(kind: str, file: str, short: str, scope: str) -> None:
    spec = yaml.safe_load(crd.files()[file])["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["scope"]) == ("pointsman.dev", kind, scope)
    assert spec["names"]["shortNames"] == [short]


@KINDS
def test_what_users_write_was_not_seen_before_its_status_says_so(kind: crd.Kind) -> None:
    unseen = schema(kind)["properties"]["status"].get("default")
    assert unseen == (None if kind.kind == "ModelRevision" else {"observedGeneration": -1})


@KINDS
def test_only_runtimes_and_policies_have_defaults(kind: crd.Kind) -> None:
    """A default under a hashed field would roll every model on upgrade; one under `rollout` would beat the policy."""
    defaulted = {path for path, node in nodes(schema(kind)) if "default" in node and path != "status"}
    assert (
        defaulted
        == {
            "ModelDeployment": set(),
            "ModelRevision": set(),
            "ModelRuntime": {
                "spec.formats[].autoSelect",
                "spec.metrics.path",
                "spec.metrics.latency.unit",
                "spec.metrics.timeToFirstToken.unit",
                "spec.metrics.timePerOutputToken.unit",
            },
            "RolloutPolicy": {
                "spec.interval",
                "spec.deadline",
                "spec.whenUndecided",
                "spec.progressDeadline",
                "spec.keepPrevious",
            },
        }[kind.kind]
    )


@KINDS
def test_a_status_is_not_judged(kind: crd.Kind) -> None:
    """Only the operator writes it; a rule there could only stand in the way of saying what happened."""
    assert [path for path, node in nodes(kind.status) if "x-kubernetes-validations" in node] == []


@KINDS
def test_every_message_is_one_short_line(kind: crd.Kind) -> None:
    for path, node in nodes(schema(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert 0 < len(rule["message"]) <= 110, path
            assert "\n" not in rule["message"], path


@KINDS
def test_everything_a_user_writes_is_explained(kind: crd.Kind) -> None:
    """`kubectl explain` has a sentence for every object and for what is not plain from its name."""
    silent = {path for path, node in nodes(kind.spec) if node.get("type") == "object" and "description" not in node}
    assert {path for path in silent if not path.endswith((".match", ".failed"))} == set()


@KINDS
def test_lists_say_how_they_merge(kind: crd.Kind) -> None:
    for path, node in nodes(schema(kind)):
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in ("atomic", "set", "map"), path
