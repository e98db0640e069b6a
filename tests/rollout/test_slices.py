"""Slices of an Agreement gate: a version that is right for most and wrong for some is found, and who they are is said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pointsman.api.gates import Slices
from pointsman.rollout import slicing
from pointsman.signals.ledger import Ledger
from pointsman.signals.reading import ArmCounts, Counts, PodCount
from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import START, Behaviour
from tests.rollout.world import World

STEPS: list[dict[str, Any]] = [{"shadow": {"percent": 20}, "hold": "30s"}, {"canary": {"percent": 25}, "hold": "30s"}]
PLAIN = {"name": "answers", "signal": "Agreement", "atLeast": "99"}
SLICED = {**PLAIN, "slices": {"header": "x-tenant", "max": 3}}
WRONG_FOR_ACME = Behaviour(differs_for={"acme": 0.1})
MOST_ARE_OTHERS = {"acme": 0.05, "rest": 0.95}  # one in two hundred answers differs


def shadowing(gate: dict[str, Any], **options: Any) -> World:
    """A model whose second version is about to be shadowed."""
    spec = rollout(steps=STEPS, gates=[gate], compare={"protocol": "OpenInference"}, **options.pop("policy", {}))
    world = serving(spec=spec, rps=300.0, **options)
    world.apply(version="2")
    return world


def ended(world: World) -> bool:
    return bool(world.outcomes)


def test_one_slice_that_disagrees_is_harm_that_the_average_hides() -> None:
    wrong = {"tenants": MOST_ARE_OTHERS, "behaviour": {"2": WRONG_FOR_ACME}}
    hidden = shadowing(PLAIN, **wrong)
    assert hidden.run(1800, until=ended)
    assert hidden.outcomes == [("2", "Promoted", "Proven")]
    found = shadowing(SLICED, **wrong)
    assert found.run(1800, until=ended)
    assert found.outcomes == [("2", "RolledBack", "Harm")]
    assert "most of all in slice 'acme' (" in found.status.history[0].message


def test_every_slice_that_agrees_is_in_the_record() -> None:
    world = shadowing(SLICED, tenants={"acme": 0.3, "none": 0.7})
    assert world.run(1800, until=ended)
    assert world.outcomes == [("2", "Promoted", "Proven")]
    ((gate,),) = [one.gates for one in world.objects["ModelRevision", world.revision("2")]["status"].attempts]
    assert [(one.name, one.disagreed, one.compared > 500) for one in gate.slices] == [
        ("acme", 0, True),
        ("none", 0, True),
    ]
    assert sum(one.compared for one in gate.slices) == gate.candidate_requests
    assert "in each of 2 slices" in gate.message


def test_a_slice_with_little_traffic_holds_nobody_up() -> None:
    world = shadowing(SLICED, tenants={"acme": 0.0002, "rest": 0.9998}, policy={"deadline": "10m"})
    assert world.run(1800, until=ended)
    assert world.outcomes == [("2", "Promoted", "Proven")]


def test_the_slice_that_is_waited_for_is_named() -> None:
    world = shadowing(SLICED, tenants={"acme": 0.03, "rest": 0.97})
    assert world.run(300, until=lambda w: w.running.phase == "Shadow" and "answers" in w.running.message)
    world.run(40)
    kept = world.evidence
    assert kept is not None
    ((gate,),) = [one.gates for one in world.objects["ModelRevision", world.revision("2")]["status"].attempts]
    assert "least proven in slice 'acme'" in gate.message


def test_an_operator_that_starts_anew_counts_every_slice_once() -> None:
    world = shadowing(SLICED, tenants={"acme": 0.3, "rest": 0.7})
    assert world.run(300, until=lambda w: w.running.phase == "Shadow")
    world.run(25)
    fork = world.fork()
    assert fork.run(1800, until=ended)
    ((gate,),) = [one.gates for one in fork.objects["ModelRevision", fork.revision("2")]["status"].attempts]
    assert sum(one.compared for one in gate.slices) == gate.candidate_requests


def counts(**slices: tuple[int, int]) -> Counts:
    """What an inspector shows: disagreed and compared of each slice."""

    def arm(cells: tuple[int, int]) -> ArmCounts:
        return ArmCounts(pods={"i": PodCount(started=START.timestamp() + 1, cells=cells)}, newest=START)

    everything = (sum(x for x, _ in slices.values()), sum(n for _, n in slices.values()))
    return Counts(
        edges=(),
        stable=arm((0, 0)),
        candidate=arm(everything),
        slices={name: arm(cells) for name, cells in slices.items()},
    )


def test_a_slice_that_comes_later_counts_from_its_first_request() -> None:
    asked = Slices(header="x-tenant", max=3)
    known = Ledger()
    slices, found = slicing.fold({}, counts(a=(1, 10)), known=known, asked=asked, at=START)
    assert found == {"a": (0, 0)}, "what was counted before the first look is no evidence"
    known = Ledger(at=START, since=START.timestamp())
    later = START + timedelta(seconds=10)
    slices, found = slicing.fold(slices, counts(a=(2, 15), b=(3, 7)), known=known, asked=asked, at=later)
    assert found == {"a": (5, 1), "b": (7, 3)}


def test_an_inspector_that_starts_anew_again_and_again_fills_no_status() -> None:
    asked = Slices(header="x-tenant", max=3)
    slices: Any = {}
    for number in range(20):
        look = counts(**{f"tenant{number}": (0, 5), "none": (0, 1)})
        slices, _ = slicing.fold(slices, look, known=Ledger(), asked=asked, at=START + timedelta(seconds=number))
    assert len(slices) == 5


def test_without_slices_none_are_counted() -> None:
    assert slicing.fold({}, counts(a=(1, 10)), known=Ledger(), asked=None, at=START) == ({}, {})
    assert (slicing.named(None), slicing.named(Slices(header="x-tenant"))) == (0, 21)
