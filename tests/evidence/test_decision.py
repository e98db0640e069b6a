"""What the whole rule promises, by summing over every outcome of a small rollout: wrong ends are as rare as was asked.

The deadline test, the average over gates, the union of both, and promotion on the last step's evidence alone, all through the
functions that decide in the cluster and in ``pointsman simulate``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence.binomial import p_value, strata
from pointsman.evidence.clock import DeadlineTest
from pointsman.evidence.margin import Arms as Counts
from pointsman.evidence.model import TEST_SHARE, LatencyGate, LatencyHistory, Look, Margin, Noise, RateGate, RateHistory
from pointsman.simulation.course import PROMOTE, ROLLBACK, Course, Stage, run
from tests.evidence.paths import Arms, Paths, binomial, every_histogram, every_path

ALMOST = 1e-9
LEVELS = (0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)


# ---------------------------------------------------------------- the deadline test

# requests of both arms in three looks, whose split moves, and the chance that a bad request is the candidate's
SPLITS = {
    "moving": [(5, 95), (25, 75), (50, 50)],
    "reversed": [(90, 10), (10, 90), (50, 50)],
    "one arm silent": [(0, 100), (30, 70), (30, 0)],
    "extreme": [(1, 1000), (1000, 1), (20, 20)],
}


@pytest.mark.parametrize("phi", [1.0, 1.6, 3.0])
@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("bad", [(1, 1, 1), (6, 0, 2), (4, 5, 3)])
def test_given_the_bad_requests_of_each_look_the_p_value_is_one(
    split: str, bad: tuple[int, int, int], ratio: float, phi: float
) -> None:
    looks = SPLITS[split]
    chances = [ratio * n_c / (ratio * n_c + n_s) for n_c, n_s in looks]
    outcomes = [list(enumerate(binomial(x, chance))) for x, chance in zip(bad, chances, strict=True)]
    found, weight = [], []
    for path in product(*outcomes):
        sums = np.zeros(3)
        for (n_c, n_s), x, (x_c, _) in zip(looks, bad, path, strict=True):
            sums += strata(Counts(*(np.asarray(float(v)) for v in (n_c, x_c, n_s, x - x_c))), ratio)
        found.append(float(p_value(sums, phi)))
        weight.append(math.prod(chance for _, chance in path))
    for level in (*LEVELS, *(p for p in found if p < 1)):
        assert np.dot(weight, np.asarray(found) <= level) <= level + ALMOST


@pytest.mark.parametrize("stable_rate", [0.02, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("requests", [(6, 6), (3, 12), (14, 5)])
def test_over_all_counts_the_p_value_is_one_however_common_failures_are(
    requests: tuple[int, int], ratio: float, stable_rate: float
) -> None:
    paths = every_path([Arms(*requests, min(1.0, ratio * stable_rate), stable_rate)] * 2)
    sums = np.zeros((len(paths.chance), 3))
    for i in range(2):
        look = paths.look(i, elapsed=0.0)
        sums += strata(Counts(*(np.broadcast_to(np.asarray(v, dtype=float), paths.chance.shape) for v in (
            look.candidate_requests, look.candidate_bad, look.stable_requests, look.stable_bad))), ratio)  # fmt: skip
    found = p_value(sums, 1.0)
    for level in LEVELS:
        assert paths.expected((found <= level).astype(float)) <= level + ALMOST


@pytest.mark.parametrize("cluster", [2, 3])
def test_failures_in_clusters_need_their_dispersion_in_the_deadline_test_too(cluster: int) -> None:
    arms = Arms(6 * cluster, 6 * cluster, 0.3, 0.3, cluster=cluster)
    paths = every_path([arms] * 2)
    gate = RateGate(harm=Margin(1.0), history=RateHistory(10_000, 50), deadline_test=True, deadline=20.0)

    def wrong(phi: float, level: float) -> float:
        with_noise = replace(gate, noise=Noise(phi=phi))
        state = evidence.next_step(with_noise, evidence.start(with_noise, paths.chance.shape), deadline_test_at=15.0)
        for i in range(2):
            state = evidence.fold(with_noise, state, paths.look(i, elapsed=10.0 * (i + 1), at=10.0 * (i + 1)))
        return paths.expected((evidence.deadline_p(state) <= level).astype(float))

    assert wrong(1.0, 0.01) > 0.015
    for level in LEVELS:
        assert wrong(float(cluster), level) <= level + ALMOST


def test_the_four_levels_of_a_latency_gate_share_one_deadline_test() -> None:
    edges = (1.0, 2.0, 4.0, math.inf)
    gate = LatencyGate(
        quantiles=(0.5,), harm=1.0, history=LatencyHistory(edges, (50, 30, 15, 5)), deadline_test=True, deadline=20.0
    )
    same = ((0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.1))
    paths = every_histogram(edges, [same, same])
    state = evidence.next_step(gate, evidence.start(gate, paths.chance.shape), deadline_test_at=20.0)
    for i in range(2):
        state = evidence.fold(gate, state, paths.look(i))
    found = evidence.deadline_p(state)
    assert not np.any(np.isnan(found))
    for level in LEVELS:
        assert paths.expected((found <= level).astype(float)) <= level + ALMOST


def test_the_least_of_four_p_values_counts_fourfold() -> None:
    # four tests that have nothing to do with each other, each of ten bad requests of which half are the candidate's
    x = np.stack([i.ravel() for i in np.indices((11,) * 4)], axis=-1).astype(float)
    chance = binomial(10, 0.5)[x.astype(int)].prod(axis=-1)
    sums = np.stack([np.full_like(x, 10.0), np.full_like(x, 5.0), x], axis=-1)
    found = DeadlineTest.begin((len(x),), 4, 10.0).fold(sums, at=10.0, phi=1.0).p
    for level in LEVELS:
        assert chance @ (found <= level) <= level + ALMOST
    assert chance @ (found <= 0.5) > 0.15, "and little more than that is given away"


# ---------------------------------------------------------------- whole rollouts


@dataclass(frozen=True, eq=False)
class Played:
    """The traffic of all paths of every gate; what a step changes is not modelled, the counts are what they are."""

    paths: Mapping[str, Paths]

    def look(self, index: int, step: np.ndarray) -> Mapping[str, Look]:
        del step
        at = float(index + 1)
        return {name: paths.look(index, elapsed=at, at=at) for name, paths in self.paths.items()}


def independent(first: Paths, second: Paths) -> tuple[dict[str, Paths], np.ndarray]:
    """Return both gates' paths in every combination, and the chance of each."""
    i, j = (x.ravel() for x in np.indices((len(first.chance), len(second.chance))))
    chance = first.chance[i] * second.chance[j]
    return {
        "errors": replace(first, candidate_bad=first.candidate_bad[:, i], stable_bad=first.stable_bad[:, i]),
        "scores": replace(second, candidate_bad=second.candidate_bad[:, j], stable_bad=second.stable_bad[:, j]),
    }, chance


def alike(first: Paths) -> tuple[dict[str, Paths], np.ndarray]:
    """Return the same counts for both gates: every failure is seen by both."""
    return {"errors": first, "scores": first}, first.chance


def opposite(first: Paths) -> tuple[dict[str, Paths], np.ndarray]:
    """Return what failed for one gate as what did not for the other; only where both rates are a half."""
    n_c, n_s = (np.array([[getattr(arms, arm)] for arms in first.looks]) for arm in ("candidate", "stable"))
    turned = replace(first, candidate_bad=n_c - first.candidate_bad, stable_bad=n_s - first.stable_bad)
    return {"errors": first, "scores": turned}, first.chance


THREE_LOOKS = every_path([Arms(4, 4, 0.5, 0.5), Arms(2, 3, 0.5, 0.5), Arms(4, 4, 0.5, 0.5)])
TWO_LOOKS = every_path([Arms(2, 2, 0.3, 0.3), Arms(2, 2, 0.1, 0.1)])


@pytest.mark.parametrize("false_rollback", [0.2, 0.4])
@pytest.mark.parametrize("tested", [(), ("errors",), ("errors", "scores")])
@pytest.mark.parametrize("together", ["alike", "opposite", "independent"])
def test_an_equal_version_is_rolled_back_no_more_often_than_allowed(
    together: str, tested: tuple[str, ...], false_rollback: float
) -> None:
    weights = evidence.weights(["errors"], ["scores"])
    gates = {
        name: RateGate(
            harm=Margin(1.0), weight=weights[name], false_rollback=false_rollback, deadline_test=name in tested,
            history=RateHistory(10_000, 50), deadline=3.0,
        )
        for name in weights
    }  # fmt: skip
    paths, chance = {
        "alike": lambda: alike(THREE_LOOKS),
        "opposite": lambda: opposite(THREE_LOOKS),
        "independent": lambda: independent(TWO_LOOKS, TWO_LOOKS),
    }[together]()
    looks = len(paths["errors"].looks)
    course = Course(
        gates=gates, stages=(Stage(0.5, 0.0),), interval=1.0, deadline=float(looks), false_rollback=false_rollback
    )
    ended = run(course, Played(paths), runs=len(chance), promotes=False)
    wrong = float(chance @ (ended.decision == ROLLBACK))
    assert wrong <= false_rollback
    if together != "independent":
        assert wrong > 0, "some path is rolled back, else nothing is shown"


@pytest.mark.parametrize("false_promotion", [0.1, 0.3])
@pytest.mark.parametrize("beyond", [0.0, 0.15])
def test_a_version_beyond_the_tolerance_is_promoted_no_more_often_than_allowed(
    false_promotion: float, beyond: float
) -> None:
    # two steps: what is proven in the first does not count in the second; harm is out of the way
    margin = Margin(1.2, 0.2)
    gate = RateGate(
        tolerance=margin, false_promotion=false_promotion, false_rollback=1e-9, shares=(0.1, 0.5),
        history=RateHistory(10_000, 900), deadline=3.0,
    )  # fmt: skip
    rates = [min(1.0, margin.ratio * p_s + margin.excess + beyond) for p_s in (0.1, 0.0, 0.3)]
    paths = every_path([Arms(4, 4, rates[0], 0.1), Arms(4, 3, rates[1], 0.0), Arms(4, 4, rates[2], 0.3)])
    course = Course(
        gates={"errors": gate},
        stages=(Stage(0.1, 1.0), Stage(0.5, 0.0)),
        interval=1.0,
        deadline=3.0,
        false_rollback=1e-9,
    )
    ended = run(course, Played({"errors": paths}), runs=len(paths.chance))
    assert paths.expected((ended.decision == PROMOTE).astype(float)) <= false_promotion


# ---------------------------------------------------------------- the rule itself


ALONE = -math.log(0.01)  # what the average must reach at a false_rollback of 1 %, where no gate has a test
BESIDE = ALONE - math.log(1 - TEST_SHARE)  # where one has
TESTS = 0.01 * TEST_SHARE  # what all tests share
LITTLE = 1e-6


@pytest.mark.parametrize(
    ("log_harms", "ps", "harmful"),
    [
        ({"errors": ALONE + math.log(2), "scores": 0.0}, {}, True),  # half of the weight is its
        ({"errors": ALONE + math.log(1.98)}, {}, False),  # (198 + 1) / 2 < 100: a gate without evidence stands at 1
        ({"errors": ALONE + math.log(2)}, {"errors": math.nan}, False),  # a test, though not carried out, has its share
        ({"errors": BESIDE + math.log(2)}, {"errors": math.nan}, True),
        ({}, {"errors": TESTS - LITTLE}, True),  # the only test has all that tests share
        ({}, {"errors": TESTS + LITTLE}, False),
        ({}, {"errors": TESTS / 2 + LITTLE, "scores": math.nan}, False),  # two share it by their weights
        ({}, {"errors": TESTS / 2 - LITTLE, "scores": math.nan}, True),
        ({}, {"errors": 0.9, "scores": TESTS / 2 - LITTLE}, True),
    ],
)
def test_when_evidence_is_a_rollback(log_harms: dict[str, float], ps: dict[str, float], *, harmful: bool) -> None:
    weights = evidence.weights(["errors"], ["scores"])
    got = evidence.is_harmful(log_harms, ps, weights=weights, false_rollback=0.01)
    assert bool(got) == harmful
