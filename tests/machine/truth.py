"""What the model cluster knows of every attempt and the operator has to find out, beside how the operator ends it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.machine.sight import Attempt

if TYPE_CHECKING:
    from tests.machine.cluster import Cluster


@dataclass
class Known:
    """What has been true of an attempt all the time.

    bad    the candidate fails 40 % of its requests, stable none
    good   neither fails a request, and they answer alike
    blind  Prometheus has no data
    """

    bad: bool = True
    good: bool = True
    blind: bool = True


class Truth:
    """Of all attempts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[Attempt, Known] = {}
        self._outcomes: defaultdict[Attempt, list[tuple[str, str]]] = defaultdict(list)

    def look(self) -> None:
        """A second has passed, or something changed."""
        cluster, rollout = self._cluster, self._cluster.rollout
        candidate, stable = cluster.name_of("candidate"), cluster.name_of("stable")
        if rollout is None or candidate is None or stable is None:
            return
        known = self._known.setdefault((candidate, rollout["attempt"]), Known())
        mine, theirs = cluster.fails(candidate), cluster.fails(stable)
        known.bad = known.bad and mine > 0 == theirs
        alike = cluster.predicts(candidate) == cluster.predicts(stable)
        known.good = known.good and mine == 0 == theirs and alike
        known.blind = known.blind and not cluster.prometheus

    def ended(self, history: list[Mapping[str, Any]], decided: set[Attempt]) -> None:
        """Every attempt ends once, only a promotion can be taken back later, and none against what is true.

        Args:
            history: of a ModelDeployment's status.
            decided: attempts that a decision on the route has ended.
        """
        for entry in reversed(history):
            attempt, ended = (entry["revision"], entry["attempt"]), (entry["outcome"], entry["at"])
            before = self._outcomes[attempt]
            if ended in before:
                continue
            outcomes = [outcome for outcome, _ in before]
            taken_back = entry["outcome"] == "Aborted" or entry["reason"] == "PredictionDrift"
            assert outcomes == [] or (outcomes == ["Promoted"] and taken_back), ("ends twice", entry)
            assert entry["outcome"] != "Promoted" or attempt not in decided, ("a decision was undone", entry)
            before.append(ended)
            self._judge(self._known.get(attempt), entry)

    def _judge(self, known: Known | None, entry: Mapping[str, Any]) -> None:
        if known is None:
            return
        if entry["reason"] == "Harm":
            assert not known.good, ("harm, and no request has failed", entry)
            assert not known.blind, ("harm without data", entry)
        if entry["outcome"] == "Promoted" and self._cluster.gated:
            assert not (known.bad and entry["reason"] in ("Proven", "Approved")), (
                "a bad version is proven good",
                entry,
            )
            assert not known.blind or entry["reason"] in ("PromotedByHand", "StableUnavailable"), ("no data", entry)
