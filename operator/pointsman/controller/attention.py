"""Conditions of ModelDeployments that are not as they should be, as series: models at rest have none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pointsman.api import conditions as c
from pointsman.controller.keys import Key

_AS_IT_SHOULD_BE: Final = {
    c.ACCEPTED: "True",
    c.READY: "True",
    c.UP_TO_DATE: "True",
    c.OBSERVED: "True",
    c.PAUSED: "False",
    c.DRIFTED: "False",
    c.NOTIFIED: "True",
    c.STALLED: "False",
}


class Attention(Collector):
    """What each ModelDeployment says that it would not say if all were well; `Unknown` is nothing that it says."""

    def __init__(self) -> None:
        self._said: dict[Key, tuple[tuple[str, str], ...]] = {}

    def keep(self, key: Key, conditions: Sequence[c.Condition]) -> None:
        """What it says now; none: it is gone."""
        said = tuple((one.type, one.reason) for one in conditions if _counts(one))
        if said:
            self._said[key] = said
        else:
            self._said.pop(key, None)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One series a condition."""
        family = GaugeMetricFamily(
            "pointsman_condition",
            "1 for a condition that is not as it should be.",
            labels=["namespace", "name", "type", "reason"],
        )
        for key, said in tuple(self._said.items()):  # asked for in another thread
            for type_, reason in said:
                family.add_metric([key.namespace, key.name, type_, reason], 1)
        yield family


def _counts(condition: c.Condition) -> bool:
    return condition.status not in ("Unknown", _AS_IT_SHOULD_BE.get(condition.type, condition.status))
