"""The worked example of labels that come a week late: the exporter that we show, its policy, and what the gate makes of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pointsman.api.rolloutpolicy import RolloutFields, RolloutPolicySpec
from pointsman.rollout import folding, weighing
from pointsman.rollout import policy as policies
from pointsman.rollout.record import Evidence
from pointsman.rollout.weighing import Balance
from pointsman.signals.counts import look
from pointsman.signals.matching import FAILED, PART, SCRAPED
from pointsman.signals.own import Names
from pointsman.signals.profiles import Unanswerable
from pointsman.signals.queries import plan
from pointsman.signals.reading import Watch
from pointsman.signals.samples import Sample

EXAMPLES = Path(__file__).parents[2] / "examples"
WEEK = timedelta(days=7)
BEGINS = datetime(2026, 11, 2, tzinfo=UTC)
NAMES = Names(
    namespace="ml", deployment="churn", stable="churn-1", candidate="churn-2", stable_version="6", candidate_version="7"
)


def example() -> policies.Policy:
    """The gate `labels` of the example's policy, alone."""
    (written, _) = yaml.safe_load_all((EXAMPLES / "delayed-labels.yaml").read_text(encoding="utf-8"))
    spec = RolloutPolicySpec.model_validate(written["spec"])
    labels = [gate for gate in spec.gates or () if gate.name == "labels"]
    return policies.resolve(policies.effective(RolloutFields(gates=labels), spec, None))


def exporter() -> Any:
    described = importlib.util.spec_from_file_location("exporter", EXAMPLES / "delayed-labels" / "exporter.py")
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@dataclass
class Business:
    """Twenty predictions an hour, half of them the candidate's; a tenth is wrong, at night three in ten."""

    worse: float = 1.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def predictions(self, days: int) -> Iterator[dict[str, str]]:
        for number in range(days * 480):
            at = BEGINS + timedelta(hours=number / 20)
            candidate = at >= BEGINS + WEEK and number % 2 == 0
            wrong = (0.3 if at.hour < 6 else 0.1) * (self.worse if candidate else 1.0)
            yield {
                "id": str(number),
                "at": at.isoformat(),
                "version": "7" if candidate else "6",
                "predicted": "wrong" if self.rng.random() < wrong else "right",
            }


def scraped(page: str, now: datetime) -> tuple[Sample, ...]:
    found: list[Sample] = []
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            own = {**sample.labels, "namespace": "ml", "app": "churn", "__name__": sample.name}
            wrong = sample.name == "predictions_wrong_total"
            found.append(Sample({**own, PART: FAILED} if wrong else own, sample.value))
            if not wrong:
                found.append(Sample({**own, PART: SCRAPED}, now.timestamp()))
    return tuple(found)


def rollout(business: Business, *, days: int) -> Iterator[Balance]:
    """What the gate says every day of a rollout that begins after the first week."""
    policy = example()
    asked = weighing.questions(policy, stable=None, candidate=None, names=NAMES, gateway=None, routed=True)
    (question,) = asked.values()
    assert not isinstance(question, Unanswerable)
    shown = exporter()
    predictions = list(business.predictions(days))
    labels = dict.fromkeys((row["id"] for row in predictions), "right")
    evidence = Evidence(revision="churn-2", attempt=1)
    for hours in range(7 * 24, days * 24, 24):
        now = BEGINS + timedelta(hours=hours)
        calibrate = folding.HISTORY if folding.uncalibrated(evidence, ["labels"]) else None
        watch = Watch("ml", stable="churn-1", candidate="churn-2", questions=(question,), calibrate=calibrate)
        made = plan([watch])
        answer = scraped(shown.page(predictions, labels, now=now, due=WEEK), now)
        ranges = dict.fromkeys(made.ranges, ())
        reading = look(made, dict.fromkeys(made.queries, answer), now, ranges=ranges).read(watch)
        elapsed = hours * 3600.0
        after = folding.fold(
            folding.Look(evidence=evidence, reading=reading, policy=policy, asked=asked, elapsed=elapsed, now=now)
        )
        evidence = after.evidence
        yield weighing.weigh(evidence, policy, asked, now=now, proofs=after.proofs)


@pytest.mark.parametrize(("worse", "verdict"), [(0.8, "Safe"), (2.0, "Harm")])
def test_labels_of_a_week_ago_decide(worse: float, verdict: str) -> None:
    seen = [balance.gates[0] for balance in rollout(Business(worse=worse), days=29)]
    # in the first week the labels that come are those of before: the candidate has none, and nothing is claimed
    assert {gate.verdict for gate in seen[2:7]} == {"Undecided"}
    last = seen[-1]
    assert last.verdict == verdict
    assert last.proof is not None
    counts = last.proof.counts
    assert counts.candidate_requests == pytest.approx(15 * 240, abs=300)  # each prediction once
    assert counts.candidate_bad / counts.candidate_requests == pytest.approx(0.15 * worse, rel=0.1)
    assert counts.stable_bad / counts.stable_requests == pytest.approx(0.15, rel=0.1)


def test_an_exporters_series_only_grow_until_they_are_dropped() -> None:
    shown, predictions = exporter(), list(Business().predictions(4))
    labels = dict.fromkeys((row["id"] for row in predictions), "right")
    before: dict[tuple[Any, ...], float] = {}
    gone: set[tuple[Any, ...]] = set()
    for hours in range(0, 24 * 30, 13):
        page = shown.page(predictions, labels, now=BEGINS + timedelta(hours=hours), due=WEEK)
        found = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }
        assert all(value >= before.get(series, 0) for series, value in found.items())
        assert not found.keys() & gone
        gone |= before.keys() - found.keys()
        before = found
    assert len(gone) == 8
