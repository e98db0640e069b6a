"""The hour before a rollout, as Prometheus would tell it: what a version's pods counted at a steady rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.signals.own import EventsQuestion
from pointsman.signals.profiles import Question
from pointsman.signals.reading import LatencyPast, Past, RatePast

INTERVALS, SECONDS = 60, 60.0


def past(
    question: Question | EventsQuestion,
    *,
    pods: Sequence[str],
    rps: float,
    failures: float,
    edges: tuple[float, ...],
    latency: tuple[float, ...],
    seed: int,
) -> Past:
    """Return what these pods counted, a minute an interval; failures are a share, `latency` shares of the buckets."""
    rng = np.random.default_rng(seed)
    requests = rng.poisson(rps * SECONDS / max(1, len(pods)), (INTERVALS, len(pods)))
    if isinstance(question, EventsQuestion) or question.stable.signal == "Errors":
        bad = rng.binomial(requests, failures)
        return RatePast(seconds=SECONDS, pods=tuple(pods), requests=requests, bad=bad)
    return LatencyPast(seconds=SECONDS, pods=tuple(pods), edges=edges, counts=rng.multinomial(requests, latency))
