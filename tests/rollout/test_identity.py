"""What makes a revision a new one, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.rollout.identity import revision_name

BASE: dict[str, Any] = {"model": {"version": "1", "format": {"name": "sklearn"}}, "runtime": "mlserver", "replicas": 2}

SAME = {
    "another order of keys": {"replicas": 2, "runtime": "mlserver", "model": dict(reversed(BASE["model"].items()))},
    "more replicas": {**BASE, "replicas": 7},
    "another policy": {**BASE, "rollout": {"policy": "careful"}},
    "another host name": {**BASE, "traffic": {"hostnames": ["b.example.com"]}},
    "another metric profile": {**BASE, "metrics": {"port": "metrics"}},
    "null instead of absent": {**BASE, "template": None, "port": None},
}

OTHER = {
    "model": {**BASE, "model": {**BASE["model"], "version": "2"}},
    "a field of model that a newer CRD has": {**BASE, "model": {**BASE["model"], "reference": {"configMap": "r"}}},
    "runtime": {**BASE, "runtime": "triton"},
    "runtime, now chosen by the format": {"model": BASE["model"]},
    "template": {**BASE, "template": {"spec": {"nodeSelector": {"gpu": "a100"}}}},
    "port": {**BASE, "port": 9000},
}


@pytest.mark.parametrize("written", SAME.values(), ids=SAME.keys())
def test_same_revision(written: dict[str, Any]) -> None:
    assert revision_name("churn", written) == revision_name("churn", BASE)


@pytest.mark.parametrize("written", OTHER.values(), ids=OTHER.keys())
def test_another_revision(written: dict[str, Any]) -> None:
    assert revision_name("churn", written) != revision_name("churn", BASE)


def test_the_name_never_changes_between_releases() -> None:
    """An upgrade of the operator that changed it would roll every model."""
    assert revision_name("churn", {"model": {"version": "1"}}) == "churn-c7aba25f"


def test_deployments_do_not_share_revisions() -> None:
    assert revision_name("churn", BASE)[-8:] == revision_name("fraud", BASE)[-8:]
    assert revision_name("churn", BASE) != revision_name("fraud", BASE)
