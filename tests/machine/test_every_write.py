"""The operator dies, hears no answer or falls asleep at every single write of four stories; nothing is undone by it."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.machine.apiserver import Fault
from tests.machine.cluster import Cluster
from tests.machine.promises import Promises
from tests.machine.stories import QUICK, TWO_STEPS
from tests.rollout.examples import rollout
from tests.rollout.surroundings import Behaviour
from tests.sizes import FULL

KINDS: tuple[Literal["dies", "no answer", "sleeps"], ...] = ("dies", "no answer", "sleeps")
WRITES = 48  # a promotion of two steps has some 45
# What happens meanwhile -> the version that serves in the end.
ENDS = {"nothing": "2", "abort": "1", "pause and abort": "1", "harm": "1", "1": "1", "3": "3"}

CASES = [
    (what, Fault(kind, write, landed=landed), routed)
    for what in ENDS
    for kind in KINDS
    for landed in (False, True)
    for routed in (True, False)
    for write in range(WRITES)
]
QUICKLY = [
    *CASES[::149],  # of every sort some, at every stage some
    *(("abort", Fault("sleeps", write), True) for write in (7, 8, 9)),  # the first share is in hand
    *((what, Fault("dies", 20), True) for what in ("pause and abort", "harm")),
]


def serving(*, routed: bool) -> tuple[Cluster, Promises]:
    """Version 1 on four pods, and every promise looked at from now on."""
    spec = rollout(**QUICK, **TWO_STEPS, capacity={"maxSurge": 1, "maxUnavailable": 0})
    if not routed:
        del spec["traffic"]
    promises = Promises()
    cluster = Cluster(spec=spec, witness=promises, rps=200.0)
    promises.attach(cluster)
    cluster.run(15)
    return cluster, promises


def to_the_end(cluster: Cluster) -> None:
    """Until nothing has been written for fifteen seconds, and no rollout runs."""
    quiet = 0
    for _ in range(300):
        before = len(cluster.api.writes)
        cluster.tick()
        quiet = quiet + 1 if len(cluster.api.writes) == before and cluster.rollout is None else 0
        if quiet >= 15:
            return
    raise AssertionError(f"it does not end: {cluster.rollout}")


def name_of(case: tuple[str, Fault, bool]) -> str:
    what, fault, routed = case
    when = "after" if fault.landed else "before"
    return f"{what}, {fault.kind} {when} write {fault.after}, {'route' if routed else 'service'}"


@pytest.mark.parametrize("case", CASES[::3] if FULL else QUICKLY, ids=name_of)
def test_at_every_write(case: tuple[str, Fault, bool]) -> None:
    """The end is as without it."""
    what, fault, routed = case
    cluster, promises = serving(routed=routed)

    def name(version: str) -> None:
        cluster.specify(model={**cluster.written["spec"]["model"], "version": version})

    def meanwhile() -> None:
        if fault.kind == "sleeps":
            cluster.another_leads()
        if what == "pause and abort":
            cluster.annotate("pause", "")
        if what.endswith("abort"):
            cluster.annotate("abort", f"{cluster.revision('2')}/1")
        elif what == "harm":
            cluster.behaviour["2"] = Behaviour(failures=0.4)
            promises.look()
        elif what != "nothing":
            name(what)
        if fault.kind == "sleeps":
            cluster.run(20)

    cluster.api.struck, cluster.api.fault = meanwhile, Fault(fault.kind, fault.after, fault.landed)
    name("2")
    to_the_end(cluster)
    promoted = "Promoted" in [entry["outcome"] for entry in cluster.status.get("history", ())]
    if cluster.api.fault is None and not (what == "harm" and promoted):  # it had as many writes, and harm was in time
        assert cluster.status["stable"]["version"] == ENDS[what]
