"""Forecasts: what a short policy does with versions that are equal, much worse, and too little traffic."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.cli import profile
from pointsman.rollout import policy as policies
from pointsman.simulation import course, drawing, forecast
from pointsman.simulation.forecast import Forecast, Prepared
from pointsman.simulation.world import Regression, World

RUNS = 40


def prepared(*, traffic: float = 200, **fields: object) -> Prepared:
    written = {
        "steps": [
            {"canary": {"percent": 10}, "hold": "1m"},
            {"approval": {}},
            {"canary": {"percent": 50}, "hold": "1m"},
        ],
        "gates": [{"name": "errors", "signal": "Errors"}, {"name": "latency", "signal": "Latency"}],
        "interval": "30s",
        "deadline": "20m",
        **fields,
    }
    policy = policies.resolve(policies.effective(RolloutPolicySpec.model_validate(written), None, profile.MEASURED))
    world = World(traffic=traffic, base_rate=0.01, replicas=4)
    return forecast.prepare(policy, world, runs=RUNS, seed=1)


@pytest.fixture(scope="module")
def short() -> Prepared:
    return prepared()


def test_an_equal_version_is_promoted_after_its_holds(short: Prepared) -> None:
    found = forecast.run(short, Regression(), seed=(1, 1))
    assert found.chance(course.PROMOTE) >= 0.9
    earliest = found.time(course.PROMOTE, 0)
    assert earliest is not None
    assert earliest >= 120
    assert sum(found.chance(decision) for decision in (course.HOLD, course.ROLLBACK, course.PROMOTE)) == pytest.approx(
        1
    )


@pytest.mark.parametrize("regression", [Regression(errors=10), Regression(latency=3), Regression(tail=5)])
def test_a_much_worse_version_is_rolled_back_before_many_have_seen_it(short: Prepared, regression: Regression) -> None:
    found = forecast.run(short, regression, seed=(1, 2))
    assert found.chance(course.ROLLBACK) == 1
    assert found.exposed.mean() < forecast.run(short, Regression(), seed=(1, 1)).exposed.mean()


def test_harm_that_begins_later_is_found_later(short: Prepared) -> None:
    never_promoted = prepared(steps=[{"canary": {"percent": 50}, "hold": "20m"}])
    found = forecast.run(never_promoted, Regression(errors=10, after=600), seed=(1, 3))
    assert found.chance(course.ROLLBACK) >= 0.9
    assert np.all(found.seconds > 600)
    assert short.looks == 40


def test_the_same_seed_gives_the_same_figures_and_parts_are_the_whole(short: Prepared) -> None:
    first, second = (forecast.run(short, Regression(errors=2), seed=(1, 4)) for _ in range(2))
    assert np.array_equal(first.seconds, second.seconds)
    parts = forecast.split(short, 15)
    assert [len(part.stable_odd) for part in parts] == [15, 15, 10]
    joined = forecast.joined(
        [forecast.run(part, Regression(errors=10), seed=(1, index)) for index, part in enumerate(parts)]
    )
    assert len(joined.decision) == RUNS
    assert joined.chance(course.ROLLBACK) == 1


def test_a_policy_that_traffic_cannot_decide_is_said_with_what_would_do(short: Prepared) -> None:
    assert forecast.out_of_reach(short) == ""
    said = forecast.out_of_reach(prepared(traffic=2))
    assert said.startswith("no verdict is expected within the deadline of 20m: ")
    assert "would do" in said


def ended(*seconds: float, decision: int) -> Forecast:
    return Forecast(
        regression=Regression(errors=2),
        decision=np.array([decision] * len(seconds) + [course.HOLD]),
        seconds=np.array([*seconds, 600.0]),
        exposed=np.arange(len(seconds) + 1),
    )


def test_figures_of_a_forecast() -> None:
    found = ended(60, 120, 300, decision=course.ROLLBACK)
    assert found.chance(course.ROLLBACK) == 0.75
    assert found.time(course.ROLLBACK, 0.5) == 120
    assert found.time(course.ROLLBACK, 0.9) == 300
    assert found.time(course.PROMOTE, 0.5) is None


def test_the_plot_in_the_terminal_rises_to_what_was_decided() -> None:
    drawn = drawing.lines([ended(60, 120, 300, decision=course.ROLLBACK)], 600)
    assert [line.name for line in drawn] == ["failures x2: rolled back"]
    assert drawn[0].percent[0] == 0
    assert drawn[0].percent[-1] == 75
    text = drawing.in_terminal(drawn, width=60, height=9).splitlines()
    assert text[0].strip() == "100 %┤"
    assert text[2].rstrip().endswith("●●●")  # 75 %
    assert text[8].startswith("    0 %┤●●")
    assert text[-1].strip() == "● failures x2: rolled back"
    assert max(map(len, text)) <= 60


def test_nothing_decided_is_nothing_drawn() -> None:
    drawn = drawing.lines([ended(decision=course.ROLLBACK)], 600)
    assert drawing.in_terminal(drawn, width=60) == ""
