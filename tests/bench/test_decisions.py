"""The bench's own parts by example: what the rules in use do, how traffic is spliced and staged, what counts as met."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from bench import traffic
from bench.decisions import arms, beyond, equal, power, report, rollouts, rules, unhardened, work, worse
from bench.decisions.cells import Cell, candidate_pods
from pointsman.evidence.margin import Arms, Line, log_e

MINUTES = 60
CELL = Cell(rps=50, share=0.5, noise="iid")


def series(*, candidate: list[int], stable: int = 3, requests: int = 600) -> arms.Rates:
    """One run, a look a minute: failures of each minute, `requests` in each arm."""
    bad = np.asarray(candidate)[:, None]
    return arms.Rates(bad, np.full_like(bad, requests), np.full_like(bad, stable), np.full_like(bad, requests))


HEALTHY = [3] * MINUTES


@pytest.mark.parametrize(
    ("rule", "candidate", "minute"),
    [
        pytest.param(rules.flagger, [*[3] * 9, *[7] * 10], 14, id="Flagger: the fifth minute over 1 %"),
        pytest.param(rules.flagger, [7, 3] * 5, 9, id="Flagger: not in a row"),
        pytest.param(rules.flagger, [6] * 60, None, id="Flagger: 99 % is good enough"),
        pytest.param(rules.argo_none, HEALTHY, None, id="Argo, no failure allowed: equal"),
        pytest.param(rules.argo_none, [*[3] * 10, 8, 3], 11, id="Argo, no failure allowed: over 1.2 x in 5 minutes"),
        pytest.param(rules.argo_none, [*[3] * 10, 6, 3], None, id="Argo: 1.2 x itself passes"),
        pytest.param(rules.argo_three, [*[3] * 10, 8, *[3] * 8], 14, id="Argo, 3 allowed: one burst is in 5 checks"),
        pytest.param(rules.kayenta, [6] * MINUTES, 30, id="Kayenta: judged after half an hour"),
        pytest.param(rules.kayenta, HEALTHY, None, id="Kayenta: equal"),
        pytest.param(rules.kayenta, [9] * 29, None, id="Kayenta: not judged before"),
        pytest.param(rules.z_test, [3, 9, 9, 3], 3, id="z-test: at the look where it is over"),
    ],
)
def test_a_rule_in_use_rolls_back_at(
    rule: Callable[[arms.Rates, float], arms.Integers], candidate: list[int], minute: int | None
) -> None:
    looks = rule(series(candidate=candidate), 60.0)
    assert looks.tolist() == [len(candidate) if minute is None else minute - 1]


def test_a_rule_checks_once_a_minute_however_often_is_looked() -> None:
    by_minute = series(candidate=[7] * 8)
    by_look = arms.Rates(*(np.repeat(a, 6, axis=0) for a in by_minute))
    assert rules.flagger(by_look, 10.0).tolist() == [29]


def test_no_request_is_no_failed_check() -> None:
    nothing = arms.Rates(*(np.zeros((60, 2), dtype=np.int64) for _ in range(4)))
    assert all(rule(nothing, 60.0).tolist() == [60, 60] for rule in rules.RULES.values())


def test_mann_whitney_agrees_with_ranks_that_do_not_overlap() -> None:
    rng = np.random.default_rng(1)
    stable = rng.uniform(0, 1, (30, 2))
    candidate = stable + np.asarray([2.0, 0.0])
    assert rules.mann_whitney_high(candidate, stable).tolist() == [True, False]


@pytest.mark.parametrize(("happened", "runs"), [(1, 400), (12, 400), (40, 4000)])
def test_the_lower_limit_is_the_probability_that_would_give_as_many_one_time_in_a_hundred(
    happened: int, runs: int
) -> None:
    assert binom.sf(happened - 1, runs, report.lower_limit(happened, runs)) == pytest.approx(0.01)


def test_error_rates_are_judged_by_their_lower_limit() -> None:
    within = report.error_rate("t", "r", "c", [True] * 7 + [False] * 393, 0.01)  # 1.75 %, as 1 % may well give
    beyond = report.error_rate("t", "r", "c", [True] * 40 + [False] * 360, 0.01)
    assert (within.holds, beyond.holds) == (True, False)
    assert report.lower_limit(0, 400) == 0


def test_medians_are_of_those_found() -> None:
    assert report.median_found([10.0, math.inf, 30.0]) == 20
    assert report.median_found([math.inf]) == math.inf


def test_classic_edges_are_the_buckets_that_are_drawn() -> None:
    edges = arms.classic(2.0, first=25.0, last=100.0)
    counts, staged = arms.one_step_latency(CELL, 20, 0, edges=edges)
    assert staged.edges == (0.025, 0.05, 0.1, math.inf)
    assert counts.stable.shape == (CELL.looks, 20, 4)
    under_median = counts.stable[..., :2].sum() / counts.stable.sum()
    assert under_median == pytest.approx(0.5, abs=0.005)
    assert len(traffic.EDGES) > 90  # the generator's own are back


def test_the_common_latency_is_what_the_generator_drew() -> None:
    cell = Cell(rps=500, share=0.5, noise="realistic")
    counts, _ = arms.one_step_latency(cell, 3, 0, edges=arms.classic(2.0, first=50.0, last=100.0))
    common = arms.common_latency(cell, cell.share, 3, cell.seed("latency shift x1", 0))
    over = counts.stable[..., 1:].sum(axis=-1) / counts.stable.sum(axis=-1)
    assert np.corrcoef(over.ravel(), common.ravel())[0, 1] > 0.95


def test_late_harm_is_a_splice() -> None:
    healthy, harmed = (series(candidate=[bad] * 4) for bad in (3, 30))
    assert arms.late(healthy, harmed, 3).candidate_bad.ravel().tolist() == [3, 3, 3, 30]


def test_each_run_sees_the_traffic_of_its_own_step() -> None:
    small, large = (series(candidate=[bad, bad]) for bad in (1, 5))
    two = [arms.Rates(*(np.repeat(a, 2, axis=1) for a in rates)) for rates in (small, large)]
    staged = arms.Staged(cell=CELL, shares=(0.05, 0.5), rates=two)
    look = staged.look(1, np.asarray([1, 0]))["errors"]
    assert look.candidate_bad.tolist() == [5, 1]
    assert look.candidate_pods.tolist() == [candidate_pods(0.5), candidate_pods(0.05)] == [10, 1]
    assert look.elapsed == 20


def test_a_miss_is_exposed_to_the_end() -> None:
    counts, _ = arms.one_step(CELL, 2, 0)
    exposed = power.exposed(CELL, counts, np.asarray([10.0, math.inf]))
    assert exposed.tolist() == [counts.candidate[0, 0], counts.candidate[:, 1].sum()]


def test_the_candidate_at_the_coarse_margin_is_there_at_every_edge() -> None:
    edges = worse.CASES["factor 2.5, coarse margin"][2]
    counts, _ = arms.one_step_latency(CELL, 50, 0, edges=edges)
    drawn = worse.at_the_margin(CELL, counts, edges, 0)
    under = [np.cumsum(a.sum(axis=(0, 1)))[:-1] / a.sum() for a in (drawn.candidate, drawn.stable)]
    assert 1 - under[0] == pytest.approx(np.minimum(1, 1.5 * (1 - under[1]) + 0.001), rel=0.05)


def test_our_reference_and_the_product_agree_where_nothing_is_hardened() -> None:
    one = arms.Rates(*(np.asarray([[value]]) for value in (12, 1000, 30, 9000)))
    look = Arms(*(np.asarray([float(v)]) for v in (1000, 12, 9000, 30)))
    product = log_e(look.spread(1), Line(np.asarray(1.0), np.asarray(0.0)), np.asarray([[0.005]]), unhardened.FACTORS)
    mixture = float(np.logaddexp.reduce(product[0]) - math.log(len(unhardened.FACTORS)))
    assert unhardened.rates(one, math.exp(-mixture) * 1.001).tolist() == [0]
    assert unhardened.rates(one, math.exp(-mixture) * 0.999).tolist() == [1]


def test_whole_rollouts_end_as_they_should_where_there_is_much_traffic() -> None:
    cell = Cell(rps=500, share=0.5, noise="iid", look=60.0)
    assert equal.whole_rollout(cell, runs=3, chunk=0)["0.01"].tolist() == [rollouts.PROMOTE] * 3
    found = power.failures(cell, 10.0, runs=3, chunk=0)["harm 1.25, 1 % (defaults)"]
    assert (found <= 120).all()


def test_pods_burst_each_by_itself() -> None:
    rng, shape = np.random.default_rng(1), (3, 200)
    pods = beyond.Pods.draw(rng, beyond.NOISES["bursts"], (np.full(shape, 0.005), np.zeros(shape)), 10.0)
    bursting = pods.rate > 0.04
    assert 0 < bursting.mean() < 0.05
    assert not bursting.all(axis=-1).any()
    assert pods.shares().sum(axis=-1) == pytest.approx(1.0)


def test_chunks_are_put_together_in_order() -> None:
    jobs = work.split(("key",), chunk_of, 1200)
    assert [job.runs for job in jobs] == [500, 500, 200]
    together = work.do(jobs, workers=1)[("key",)]["chunk"]
    assert together.tolist() == [0] * 500 + [1] * 500 + [2] * 200


def chunk_of(*, runs: int, chunk: int) -> work.Arrays:
    return {"chunk": np.full(runs, chunk)}
