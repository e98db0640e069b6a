from typing import Any

import pytest
import yaml

from pointsman.api.modeldeployment import Traffic
from pointsman.render.objects import Backend, Mirror, Owner, route
from tests.render.examples import EXAMPLES
from tests.render.golden import FOLDER, text


@pytest.mark.parametrize("name", EXAMPLES)
def test_renders_what_the_golden_file_has(name: str) -> None:
    assert text(EXAMPLES[name]) == (FOLDER / f"{name}.yaml").read_text(), (
        "if this is meant: python -m tests.render.golden, and read the diff"
    )


def test_every_golden_file_has_an_example() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_null_reaches_an_object(name: str) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(nulls(child) for child in value.values())
        return any(map(nulls, value)) if isinstance(value, list) else value is None

    assert not nulls(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def test_one_service_can_send_to_two_ports() -> None:
    # stable listens on 8080 and the candidate on 9000: a port's name means each pod's own.
    assert EXAMPLES["churn-both-arms-service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_weights_are_percentages_unless_one_is_not_whole() -> None:
    def weights(name: str) -> list[int]:
        return [backend["weight"] for backend in EXAMPLES[name]["spec"]["rules"][0]["backendRefs"]]

    assert weights("churn-route-alone") == [100]
    assert weights("churn-route-decided") == [100, 0]
    assert weights("churn-route-fraction") == [9_950, 50]


@pytest.mark.parametrize("weights", [[], [9_999], [10_000, 1], [10_001, -1]])
def test_weights_that_are_no_shares_of_a_whole_are_a_mistake_of_ours(weights: list[int]) -> None:
    backends = [Backend(f"churn-{index}", weight) for index, weight in enumerate(weights)]
    with pytest.raises(ValueError, match="are not shares of 10000 basis points"):
        route(
            deployment="churn",
            namespace="ml",
            traffic=Traffic.model_validate({"parentRefs": [{"name": "models"}]}),
            backends=backends,
            owner=Owner("ModelDeployment", "churn", "1"),
        )


@pytest.mark.parametrize("share", [0, -1, 10_001])
def test_a_mirror_of_nothing_or_of_more_than_all_is_a_mistake_of_ours(share: int) -> None:
    with pytest.raises(ValueError, match=f"{share} basis points of the requests cannot be mirrored"):
        route(
            deployment="churn",
            namespace="ml",
            traffic=Traffic.model_validate({"parentRefs": [{"name": "models"}]}),
            backends=[Backend("churn-1", 10_000)],
            mirror=Mirror("churn-i1", share),
            owner=Owner("ModelDeployment", "churn", "1"),
        )


def test_an_owner_is_read_from_the_live_object() -> None:
    live = {"kind": "ModelDeployment", "metadata": {"name": "churn", "uid": "1", "labels": {}}}
    assert Owner.of(live).reference() == {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "ModelDeployment",
        "name": "churn",
        "uid": "1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
