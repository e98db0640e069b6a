"""The pod margin: how far two arms of few pods may differ only because pods differ."""

from __future__ import annotations

import math

from pointsman.evidence.model import Noise, Unanswerable


def pod_margin(tau: float, candidate_pods: int, stable_pods: int) -> float:
    """Return M = exp(2 tau sqrt(1/k_c + 1/k_s)), two standard deviations of the arms' log ratio; 1 while an arm has no pod."""
    if candidate_pods < 1 or stable_pods < 1:
        return 1.0
    return math.exp(2 * tau * math.sqrt(1 / candidate_pods + 1 / stable_pods))


def safety_margin(noise: Noise, candidate_pods: int, stable_pods: int) -> float:
    """Return the margin that tightens safety: 1 where tau is assumed, as an assumption must not keep a good version out."""
    return 1.0 if noise.assumed else pod_margin(noise.tau, candidate_pods, stable_pods)


def spread_too_wide(noise: Noise, candidate_pods: int, stable_pods: int, widest: float) -> Unanswerable | None:
    """Return why Safe is out of reach where the margin of these pods is at or over ``widest`` (> 1), with the pods needed."""
    if noise.assumed or candidate_pods < 1 or stable_pods < 1:
        return None
    if pod_margin(noise.tau, candidate_pods, stable_pods) < widest:
        return None
    if widest <= 1:
        return Unanswerable("PodSpread", "the tolerance allows no difference at all: widen it")
    now = 1 / candidate_pods + 1 / stable_pods
    factor = now / (math.log(widest) / (2 * noise.tau)) ** 2
    need = (math.floor(candidate_pods * factor) + 1, math.floor(stable_pods * factor) + 1)
    return Unanswerable(
        "PodSpread",
        f"stable's own pods differ by {noise.tau:.0%}: with {candidate_pods} candidate and {stable_pods} stable pods that is more "
        f"than the tolerance; it takes {need[0]} and {need[1]} pods, or a wider tolerance",
    )
