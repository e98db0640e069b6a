"""The health scripts and actions for Argo CD, by its own Lua engine, over what real rollouts said (see record)."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml

from hack.gitops import configmap, judges
from tests.api.operator_model import condition
from tests.gitops.record import ACTED, ACTIONS, GROUP, acted, action_tests, data, health_tests, read

pytestmark = pytest.mark.skipif(not shutil.which("go"), reason="builds Argo CD's Lua engine with Go")

KINDS = ("ModelDeployment", "ModelRevision", "ModelRuntime", "RolloutPolicy")


def written(*path: str) -> Any:
    return yaml.safe_load(GROUP.joinpath(*path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_moment_has_the_health_that_its_name_says(kind: str) -> None:
    tests = health_tests(kind)
    assert tests == written(kind, "health_test.yaml")
    for one in tests["tests"]:
        said, name = one["healthStatus"], one["inputPath"].removeprefix("testdata/")
        assert name.startswith(f"{said['status'].lower()}_"), said
        assert isinstance(said["message"], str)


# The condition whose sentence a person reads in Argo CD.
TOLD = {
    "healthy_firstVersion": "UpToDate",
    "healthy_promoted": "UpToDate",
    "progressing_canary": "UpToDate",
    "progressing_undecided": "UpToDate",
    "progressing_noReadyPod": "Ready",
    "suspended_awaitingApproval": "UpToDate",
    "suspended_paused": "Paused",
    "degraded_rolledBack": "UpToDate",
    "degraded_aborted": "UpToDate",
    "degraded_notAccepted": "Accepted",
}


def test_the_message_is_the_operators() -> None:
    kept = data("ModelDeployment")
    said = {one["inputPath"]: one["healthStatus"]["message"] for one in health_tests("ModelDeployment")["tests"]}
    assert set(kept) - set(TOLD) == {"progressing_new", "progressing_newGeneration"}
    for moment, kind in TOLD.items():
        assert said[f"testdata/{moment}.yaml"] == condition(kept[moment]["status"], kind)["message"] != ""


OFFERED = {
    "healthy_firstVersion": set(),
    "healthy_promoted": {"abort"},
    "progressing_canary": {"promote", "abort", "pause"},
    "progressing_undecided": {"promote", "abort", "pause"},
    "progressing_noReadyPod": set(),
    "suspended_awaitingApproval": {"promote", "abort", "approve", "pause"},
    "suspended_paused": {"promote", "abort", "resume"},
    "degraded_rolledBack": {"retry"},
    "degraded_aborted": {"retry"},
    "degraded_notAccepted": set(),
}


def test_only_what_can_be_done_is_offered() -> None:
    tests = action_tests()
    assert tests == written("ModelDeployment", "actions", "action_test.yaml")
    offered = {
        one["inputPath"].removeprefix("../testdata/").removesuffix(".yaml"): {
            action["name"] for action in one["result"] if not action["disabled"]
        }
        for one in tests["discoveryTests"]
    }
    assert {moment: offered[moment] for moment in OFFERED} == OFFERED


@pytest.mark.parametrize(("action", "moment"), ACTED, ids=[f"{action} {moment}" for action, moment in ACTED])
def test_an_action_is_the_annotation_that_the_operator_obeys(action: str, moment: str) -> None:
    before = data("ModelDeployment")[moment]
    status = before["status"]
    rollout, last = status.get("rollout", {}), (status.get("history") or [{}])[0]
    running = f"{status['candidate']['revision']}/{rollout['attempt']}" if rollout else ""
    wanted = {
        "promote": running,
        "abort": running or f"{status['stable']['revision']}/{last.get('attempt')}",
        "approve": f"{running}/{rollout.get('step')}",
        "pause": "true",
        "resume": None,
        "retry": f"{last.get('revision')}/{last.get('attempt')}",
    }[action]
    after = acted(action, moment).result
    key = f"pointsman.dev/{'pause' if action == 'resume' else action}"
    annotations = {name: value for name, value in before["metadata"].get("annotations", {}).items() if name != key}
    annotations |= {} if wanted is None else {key: wanted}
    assert (after["metadata"].get("annotations") or {}) == annotations
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert after == read(ACTIONS / "testdata" / f"{action}_{moment}.yaml")


@pytest.mark.parametrize("action", ["promote", "abort", "approve", "retry"])
def test_an_action_with_nothing_to_act_on_says_so(action: str) -> None:
    said = acted(action, "healthy_firstVersion")
    assert said.result is None
    assert said.error is not None
    assert "no " in said.error


def test_the_configmap_is_what_the_scripts_make() -> None:
    assert configmap.WRITTEN.read_text(encoding="utf-8") == configmap.configmap()
    entries = yaml.safe_load(configmap.configmap())["data"]
    assert set(entries) == {f"resource.customizations.health.pointsman.dev_{kind}" for kind in KINDS} | {
        "resource.customizations.actions.pointsman.dev_ModelDeployment"
    }
    actions = yaml.safe_load(entries["resource.customizations.actions.pointsman.dev_ModelDeployment"])
    assert {one["name"] for one in actions["definitions"]} == {folder.name for folder, _ in _scripts()}
    health = entries["resource.customizations.health.pointsman.dev_ModelDeployment"]
    assert judges.lua(health, [data("ModelDeployment")["progressing_new"]])[0].error is None


def _scripts() -> list[tuple[Any, Any]]:
    return [(script.parent, script) for script in ACTIONS.glob("*/action.lua")]
