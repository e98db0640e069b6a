from __future__ import annotations

from typing import Any

import pytest

from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.kinds import AUTOSCALER, GATEWAY, GATEWAY_CLASS, MODEL_DEPLOYMENT, MODEL_REVISION, WORKLOAD
from tests.cluster.objects import model, obj, revision

# What is told, in order: (+ seen, - deleted) with a resourceVersion; and the version that is cached in the end.
STORIES = [
    pytest.param(["+1"], 1, id="seen"),
    pytest.param(["+1", "+3"], 3, id="newer"),
    pytest.param(["+3", "+1"], 3, id="a stale watch event does not undo a write of ours"),
    pytest.param(["+3", "+3"], 3, id="the echo of a write of ours"),
    pytest.param(["+1", "-2"], None, id="deleted"),
    pytest.param(["+5", "-2"], 5, id="a stale deletion of the object before the one that is there"),
    pytest.param(["+1", "-4", "+3"], None, id="a list that was on its way when the object went"),
    pytest.param(["+1", "-4", "+5"], 5, id="created again"),
    pytest.param(["-4"], None, id="deleted before it was ever seen"),
]


@pytest.mark.parametrize(("story", "expected"), STORIES)
def test_never_older_than_what_was_seen(story: list[str], expected: int | None) -> None:
    cache = Cache()
    for step in story:
        told = cache.put if step[0] == "+" else cache.deleted
        told(model("churn", int(step[1:])))
    cached = cache.get(MODEL_DEPLOYMENT, "ml", "churn")
    assert (cached and int(cached["metadata"]["resourceVersion"])) == expected


def test_only_what_is_news_is_a_change() -> None:
    cache = Cache()
    first = cache.put(model("churn", 1))
    assert first is not None
    assert first.before is None
    assert cache.put(model("churn", 1)) is None
    second = cache.put(model("churn", 2))
    assert second == Change(before=first.after, after=cache.get(MODEL_DEPLOYMENT, "ml", "churn"))
    assert cache.deleted(model("churn", 3)) == Change(before=second.after, after=None)
    assert cache.deleted(model("churn", 3)) is None


def names(cache: Cache) -> list[str]:
    return sorted(name for _, name in cache.names(MODEL_REVISION))


def counted(cache: Cache, version: int, *pages: list[dict[str, Any]], namespace: str | None = None) -> list[str]:
    """The names of what a list in these pages, at this version, has changed."""
    census = cache.census(MODEL_REVISION, namespace)
    changes = [change for page in pages for change in census.page(page)] + census.end(str(version))
    return sorted((change.before or change.after or {})["metadata"]["name"] for change in changes)


def test_a_list_evicts_ghosts_and_keeps_what_is_newer_than_it() -> None:
    cache = Cache()
    cache.put(revision("ghost", "churn", 2))
    cache.put(revision("stays", "churn", 3))
    cache.put(revision("newborn", "churn", 9))
    assert counted(cache, 5, [revision("stays", "churn", 3)], [revision("missed", "churn", 4)]) == ["ghost", "missed"]
    assert names(cache) == ["missed", "newborn", "stays"]


def test_a_list_does_not_bring_back_what_was_deleted_while_it_was_on_its_way() -> None:
    cache = Cache()
    cache.put(revision("a", "churn", 2))
    cache.deleted(revision("a", "churn", 6))
    assert counted(cache, 5, [revision("a", "churn", 2)]) == []
    assert names(cache) == []


def test_a_list_of_one_namespace_says_nothing_about_others() -> None:
    cache = Cache()
    cache.put(obj(MODEL_REVISION, "a", 1, namespace="one", spec={"deployment": "churn"}))
    cache.put(obj(MODEL_REVISION, "b", 1, namespace="two", spec={"deployment": "churn"}))
    counted(cache, 5, namespace="one")
    assert names(cache) == ["b"]


def test_a_listed_object_does_not_name_its_kind() -> None:
    cache = Cache()
    bare = {key: value for key, value in revision("a", "churn", 2).items() if key not in ("apiVersion", "kind")}
    assert counted(cache, 5, [bare]) == ["a"]
    assert (cache.get(MODEL_REVISION, "ml", "a") or {})["kind"] == "ModelRevision"


def test_graves_do_not_pile_up() -> None:
    cache = Cache()
    cache.deleted(revision("a", "churn", 6))
    for version in (7, 8, 9):
        counted(cache, version)
    assert not cache._graves[MODEL_REVISION]


REFERENCE = {"kind": "ModelDeployment", "name": "churn", "controller": True}
OWNERS = [
    pytest.param({"ownerReferences": [REFERENCE]}, "churn", id="by reference"),
    pytest.param({"labels": {"pointsman.dev/deployment": "churn"}}, "churn", id="by label"),
    pytest.param(
        {"labels": {"pointsman.dev/deployment": "edited"}, "ownerReferences": [REFERENCE]},
        "churn",
        id="a label edited by hand does not lose the owner",
    ),
    pytest.param({}, None, id="nobody's"),
]


@pytest.mark.parametrize(("meta", "owner"), OWNERS)
def test_children_are_found_by_their_owner(meta: dict[str, Any], owner: str | None) -> None:
    cache = Cache()
    cache.put(obj(WORKLOAD, "churn-1", metadata=meta))
    found = cache.owned(WORKLOAD, ("ml", "churn"))
    assert [child.name for child in found] == (["churn-1"] if owner else [])


def test_a_child_that_changes_hands_is_found_by_its_new_owner_only() -> None:
    cache = Cache()
    cache.put(revision("r", "churn", 1))
    cache.put(revision("r", "fraud", 2))
    assert cache.owned(MODEL_REVISION, ("ml", "churn")) == ()
    assert len(cache.owned(MODEL_REVISION, ("ml", "fraud"))) == 1


def test_what_nobody_reads_is_not_kept() -> None:
    cache = Cache()
    bulky = {
        "managedFields": [{}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "pointsman.dev/pause": ""},
    }
    cache.put(obj(GATEWAY, "models", metadata=bulky, spec={"listeners": [], "gatewayClassName": "eg"}, status={}))
    kept = cache.get(GATEWAY, "ml", "models")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"pointsman.dev/pause": ""}
    assert kept["spec"] == {"gatewayClassName": "eg"}
    assert "status" not in kept
    features = [{"name": "HTTPRouteRequestMirror"}]
    cache.put(
        obj(
            GATEWAY_CLASS,
            "eg",
            spec={"controllerName": "it", "parametersRef": {}},
            status={"conditions": [{}], "supportedFeatures": features},
        )
    )
    kept = cache.get(GATEWAY_CLASS, "", "eg")
    assert kept is not None
    assert kept["spec"] == {"controllerName": "it"}
    assert kept["status"] == {"supportedFeatures": features}
    cache.put(obj(AUTOSCALER, "churn-1", spec={"minReplicas": 2}, status={"currentMetrics": [{}]}))
    assert "status" not in (cache.get(AUTOSCALER, "ml", "churn-1") or {"status": "none is kept"})
