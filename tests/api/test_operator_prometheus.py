"""Prometheus answers nothing, late or nonsense: the rollout stands still, says why, and goes on when it answers again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_prometheus import empty, no_numbers, page, twice

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

FAULTS: dict[str, tuple[Callable[[Site], AbstractContextManager[None]], tuple[str, ...]]] = {
    "unreachable": (lambda site: site.prometheus.down(), ("Prometheus at HERE cannot be reached: Connection refused",)),
    "slow": (lambda site: site.prometheus.slow(), ("Prometheus at HERE did not answer within 5 s",)),
    "HTML": (
        lambda site: site.prometheus.broken(page),
        ("HERE answers with an HTML page", "is it the URL of Prometheus, with its path prefix?"),
    ),
    "NaN": (
        lambda site: site.prometheus.broken(no_numbers),
        ("errors: ", "exports a counter = nan, which is no count of requests"),
    ),
    "duplicates": (
        lambda site: site.prometheus.broken(twice),
        ("errors: ", "is scraped twice, as job 'one' at", "leave one of the two scrapes out"),
    ),
    "nothing": (
        lambda site: site.prometheus.broken(empty),
        ("Prometheus has no target for", "is the port of its metrics scraped?"),
    ),
}


@pytest.fixture(scope="module")
def canary(site: Site) -> Iterator[Model]:
    """A rollout at 20 % for longer than these tests take."""
    churn = Model(site.server, "canary", site.runtime)
    churn.apply("1", rollout=QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]})
    churn.until_serves("1")
    churn.apply("2")
    churn.until_percent(20)
    yield churn
    churn.delete()


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_told_and_heals(site: Site, canary: Model, fault: str) -> None:
    broken, words = FAULTS[fault]
    canary.until_says("Observed", "True", "Fresh")
    before, rollout = canary.serving(), canary.status["rollout"]
    with broken(site):
        canary.until_says("Observed", "False", "NoData", *(word.replace("HERE", site.prometheus.url) for word in words))
        assert canary.serving() == before
        assert canary.status["rollout"]["percent"] == 20
    canary.until_says("Observed", "True", "Fresh")
    assert canary.serving() == before
    assert canary.status["rollout"]["holdStartedAt"] == rollout["holdStartedAt"]


@pytest.mark.parametrize("version", ["2", "2-bad"])
def test_missing_data_neither_promotes_nor_rolls_back(site: Site, model: Make, version: str) -> None:
    churn = model(rollout=QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1s"}], "deadline": "2s"})
    churn.apply("1")
    churn.until_serves("1")
    churn.apply(version)
    churn.until(lambda s: s.get("rollout", {}).get("phase") == "Canary")
    with site.prometheus.down():
        churn.until_says("UpToDate", "False", "Undecided", "waiting for data: errors: Prometheus at")
        assert churn.status["rollout"]["percent"] == 20
        assert not churn.status.get("history")
    churn.until_ended("RolledBack" if "bad" in version else "Promoted")


def test_no_step_is_entered_without_data(site: Site, model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before = churn.serving()
    with site.prometheus.broken(empty):
        churn.apply("2")
        churn.until_says("UpToDate", "False", "InProgress", "warming up at 0 %", "no target")
        assert churn.status["rollout"]["percent"] == 0
        assert churn.serving() == before
    churn.until_percent(20)
