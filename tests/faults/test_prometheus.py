"""A Prometheus that fails in the middle of rollouts: nothing is promoted or rolled back by that, an abort is obeyed, and it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.faults.chronicle import shares, unearned
from tests.faults.scraped import scraped
from tests.faults.world import HOLDING, POLICY, Site, World, namespaces, world
from tests.sizes import FULL

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = [pytest.mark.bare, pytest.mark.asyncio(loop_scope="module")]

LOOKS = 30 if FULL else 4  # so many a fault lasts at least: longer than a hold, and than the deadline
MINUTES = 300.0
DEADLINE = POLICY | {"deadline": "3s", "whenUndecided": "Promote"}  # long over when a fault ends


# -- what goes wrong, as long as the block lasts, and what is said of it


@asynccontextmanager
async def ahead(here: World) -> AsyncIterator[None]:
    with here.clock.by(MINUTES):
        yield


@asynccontextmanager
async def behind(here: World) -> AsyncIterator[None]:
    with here.clock.by(-MINUTES):
        yield


FAULTS: dict[str, tuple[Callable[[World], AbstractAsyncContextManager[None]], str]] = {
    "down": (lambda here: here.prometheus.down(), "cannot be reached"),
    "slow": (lambda here: here.prometheus.frozen(), "did not answer within 5 s"),
    "partial data": (lambda here: here.prometheus.losing_a_store(), "gave partial data for"),
    "five minutes ahead": (ahead, "is more than 30 s ahead of the operator's"),
    "five minutes behind": (behind, "is more than 30 s behind the operator's"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(crds: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """For each fault three models: one whose candidate is good, one whose candidate harms, one whose rollout is aborted."""
    folder, (namespace,) = tmp_path_factory.mktemp("prometheus"), namespaces(1)
    async with scraped(crds.kubeconfig, [namespace], folder) as sight:
        site = Site(kubeconfig=crds.kubeconfig, folder=folder, namespace=namespace, sight=sight)
        async with world(site) as made:
            await made.until_led()
            names = [name for fault in FAULTS for name in models(fault)]
            for name in names:
                await made.apply(name, "1")
            for name in names:
                await made.until_serves(name, "1")
            for fault in FAULTS:
                await made.apply(models(fault)[2], "2", policy=HOLDING)
            yield made
            assert not made.operator.crashes()


def models(fault: str) -> tuple[str, str, str]:
    """The good one, the harmful one and the one that is aborted."""
    good, harmful, aborted = (f"{name}-{fault.replace(' ', '-')}" for name in ("good", "harmful", "aborted"))
    return good, harmful, aborted


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_data_nothing_is_decided_but_an_abort(here: World, fault: str) -> None:
    during, words = FAULTS[fault]
    good, harmful, aborted = models(fault)
    await here.until_share(aborted, 20)
    await here.apply(good, "2", policy=DEADLINE)
    candidate = await here.until_share(good, 20)
    async with during(here):
        for name in (good, aborted):
            await here.until_said(name, "Observed", words)
        before = shares(here.chronicle, good, candidate)
        await here.apply(harmful, "2-bad")  # nobody can know that it is
        await here.looks(LOOKS)
        await here.abort(aborted)
        await here.until_outcome(aborted, "2", "Aborted")
        assert here.share(aborted, here.outcome(aborted)["revision"]) == 0
        assert shares(here.chronicle, good, candidate) == before
        assert here.share(harmful, here.candidate(harmful)) == 0  # it is not observed, and so gets nothing
        assert not here.outcomes(good)
        assert not here.outcomes(harmful)


async def test_with_data_again_they_end_as_they_should(here: World) -> None:
    """The faults of those that came later included."""
    for fault in FAULTS:
        good, harmful, _ = models(fault)
        if "candidate" not in here.status(good) and not here.outcomes(good):
            continue  # its test was not chosen
        await here.until_outcome(good, "2", "Promoted")
        await here.until_outcome(harmful, "2-bad", "RolledBack")
        assert here.outcomes(good) == [("2", "Promoted")]
        candidate = here.outcome(good)["revision"]
        assert shares(here.chronicle, good, candidate) == [0, 20, 50, 100]
        assert not unearned(here.chronicle, good, candidate)
