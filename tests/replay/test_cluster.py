"""What the operator decided in a model cluster, a replay of what it read then decides, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointsman.replay.playback import kinds, play
from pointsman.replay.recording import read
from pointsman.rollout import policy as policies
from tests.rollout.examples import MLSERVER, serving, spec
from tests.rollout.surroundings import SLOW, Behaviour

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.signals.reading import Reading, Watch
    from tests.rollout.world import World


def rows(reading: Reading, *, arms: tuple[str, ...]) -> list[str]:
    """A reading as a recording has it."""
    written = []
    for gate, counts in reading.gates.items():
        for arm in arms:
            for pod, count in getattr(counts, arm).pods.items():
                names = [*(f"{edge}" for edge in counts.edges)] or ["bad", "total"]
                cells = zip((*names, "started"), (*count.cells, count.started), strict=True)
                written += [f"{reading.at.timestamp()},{arm},{pod},{gate},{le},{value}" for le, value in cells]
    return written


def recorded(behaviour: Behaviour) -> tuple[World, list[str]]:
    """A rollout of version 2, and the recording of its looks from the first step on."""
    world = serving(behaviour={"1": Behaviour(failures=0.01), "2": behaviour})
    csv = ["time,arm,pod,gate,le,value"]
    look = world.read

    def read(watch: Watch, at: datetime) -> Reading:
        found = look(watch, at)
        running = world.status.rollout is not None and world.status.rollout.step > 0
        csv.extend(rows(found, arms=("stable", "candidate") if running else ("stable",)))
        return found

    world.read = read  # type: ignore[method-assign]  # what Prometheus answers is what is recorded
    world.apply(version="2")
    assert world.run(3600, until=lambda w: w.status.history[:1] != [] and w.status.rollout is None), world.status
    return world, csv


@pytest.mark.parametrize(
    ("behaviour", "outcome", "decision"),
    [
        (Behaviour(failures=0.01), "Promoted", "Promote"),
        (Behaviour(failures=0.2), "RolledBack", "Rollback"),
        (Behaviour(failures=0.01, latency=SLOW), "RolledBack", "Rollback"),
    ],
)
def test_a_replay_decides_what_was_decided(behaviour: Behaviour, outcome: str, decision: str) -> None:
    world, csv = recorded(behaviour)
    assert world.status.history[0].outcome == outcome
    fields = policies.RolloutFields.model_validate(spec()["rollout"])
    policy = policies.resolve(policies.effective(fields, None, policies.Metrics.model_validate(MLSERVER["metrics"])))
    looks = list(play(read("\n".join(csv), kinds(policy.gates)), policy))
    decided = next(look for look in looks if look.decision != "Hold")
    assert decided.decision == decision
    if decision == "Rollback":
        assert ",".join(decided.balance.harmful) == world.status.history[0].gate
    else:
        assert decided.step == 3
