"""The operator dies without a word, and the next one goes on where it was: nothing is counted twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.cluster.kinds import LEASE
from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import Object

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

SLOWER = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "3s"}, {"canary": {"percent": 50}, "hold": "3s"}]}


def restart(site: Site) -> None:
    """The next operator. A dead leader's Lease runs out after 15 s; deleting it is the short way."""
    site.server.delete(LEASE, "pointsman")
    site.operator.start()


def test_killed_in_every_phase_it_promotes_on_exactly_what_was_served(site: Site, model: Make) -> None:
    churn = model(rollout=SLOWER)
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    moments: tuple[Callable[[], Object], ...] = (
        lambda: churn.until(lambda s: "rollout" in s),
        lambda: churn.until_percent(20),
        lambda: churn.until_percent(50),
    )
    for moment in moments:
        candidate = moment()["candidate"]["revision"]
        site.operator.kill()
        before = churn.serving()
        site.models.serve()  # users go on
        assert churn.serving() == before
        restart(site)
    assert churn.until_ended("Promoted")["attempt"] == 1
    (gate,) = churn.record(candidate)["attempts"][-1]["gates"]
    assert gate["candidateRequests"] in site.models.totals(candidate)
    assert len(churn.status["history"]) == 1


def test_abort_that_was_asked_for_while_no_operator_ran(site: Site, model: Make) -> None:
    churn = model(rollout=SLOWER)
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    site.operator.kill()
    churn.annotate("abort", f"{candidate}/1")
    restart(site)
    assert churn.until_ended("Aborted")["version"] == "2"
    assert churn.share(churn.revision()) == 100


def test_operator_that_is_asked_to_end_lets_the_next_one_start_at_once(site: Site, model: Make) -> None:
    assert site.operator.stop() == 0
    lease = site.server.get(LEASE, "pointsman")
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    site.operator.start()
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
