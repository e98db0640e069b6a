"""The operator may do what its code does, and every right stands in the chart's README with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pointsman.cluster import kinds

if TYPE_CHECKING:
    from tests.chart.conftest import Helm

README = Path(__file__).parents[2] / "charts" / "pointsman" / "README.md"

Right = tuple[str, str, frozenset[str]]
"""Group, resource (or resource/name), verbs."""


def documented() -> dict[Right, str]:
    rows = [line.strip("|\n ").split("|") for line in README.read_text().splitlines() if line.startswith("|")]
    rights: dict[Right, str] = {}
    for group, resources, verbs, reason in rows:
        if group.strip() in ("API group", "---"):
            continue
        for resource in resources.split(","):
            name = group.strip().replace("core", "")
            rights[name, resource.strip(), frozenset(verb.strip() for verb in verbs.split(","))] = reason.strip()
    return rights


def granted(objects: list[dict[str, Any]]) -> set[Right]:
    rights: set[Right] = set()
    for rule in (rule for obj in objects if obj["kind"] in ("ClusterRole", "Role") for rule in obj["rules"]):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    rights.add((group, f"{resource}/{name}" if name else resource, frozenset(rule["verbs"])))
    return rights


def test_the_readme_lists_exactly_the_rules_each_with_a_reason(helm: Helm) -> None:
    table = documented()
    assert set(table) == granted(helm.render())
    assert all(len(reason) > 20 for reason in table.values())


def test_nothing_is_granted_by_a_wildcard_and_no_secrets(helm: Helm) -> None:
    for group, resource, verbs in granted(helm.render()):
        assert "*" not in (group, resource, *verbs)
        assert resource not in ("secrets", "configmaps", "pods/exec")


def test_with_namespaces_the_same_is_granted_in_each_of_them_and_in_no_other(helm: Helm) -> None:
    everywhere, limited = helm.render(), helm.render("namespaces={ml,gateways}")
    assert granted(limited) == granted(everywhere)
    wide = [obj for obj in limited if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] == "pointsman"]
    assert {resource for _, resource, _ in granted(wide)} == {
        *("modelruntimes", "rolloutpolicies", "modelruntimes/status", "rolloutpolicies/status", "gatewayclasses"),
    }
    roles = {obj["metadata"]["namespace"]: obj for obj in limited if obj["metadata"]["name"] == "pointsman-models"}
    assert set(roles) == {"ml", "gateways"}
    bound = [obj for obj in limited if obj["kind"] == "RoleBinding" and obj["metadata"]["name"] == "pointsman-models"]
    for binding in bound:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pointsman", "namespace": "pointsman"}]


@pytest.mark.parametrize("kind", kinds.WATCHED, ids=lambda kind: kind.name)
def test_whatever_is_watched_may_be_watched(helm: Helm, kind: kinds.Kind) -> None:
    verbs = {(group, resource): verbs for group, resource, verbs in granted(helm.render())}
    assert {"get", "list", "watch"} <= verbs[kind.group, kind.plural]
