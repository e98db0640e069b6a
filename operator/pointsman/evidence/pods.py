"""The pod margin: how far two arms of few pods may differ only because pods differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman.evidence.model import Noise


def pod_margin(tau: float, candidate_pods: int, stable_pods: int) -> float:
    """Return M = exp(2 tau sqrt(1/k_c + 1/k_s)), two standard deviations of the arms' log ratio; 1 while an arm has no pod."""
    if candidate_pods < 1 or stable_pods < 1:
        return 1.0
    return math.exp(2 * tau * math.sqrt(1 / candidate_pods + 1 / stable_pods))


def safety_margin(noise: Noise, candidate_pods: int, stable_pods: int) -> float:
    """Return the margin that tightens safety: 1 where tau is assumed, as an assumption must not keep a good version out."""
    return 1.0 if noise.assumed else pod_margin(noise.tau, candidate_pods, stable_pods)


def pods_needed(noise: Noise, candidate_pods: int, stable_pods: int, widest: float) -> str:
    """Return what it takes for an equal version to be proven Safe where the margin of these pods reaches ``widest``, else "".

    Args:
        noise: the stable arm's noise.
        candidate_pods: pods of the candidate.
        stable_pods: pods of stable.
        widest: margin at which the tolerance is used up; 1 or less where it allows no difference at all.
    """
    if widest <= 1:
        return "the tolerance allows no difference, so that only a better version can be proven Safe: widen it"
    if noise.assumed or candidate_pods < 1 or stable_pods < 1:
        return ""
    if pod_margin(noise.tau, candidate_pods, stable_pods) < widest:
        return ""
    now = 1 / candidate_pods + 1 / stable_pods
    factor = now / (math.log(widest) / (2 * noise.tau)) ** 2
    need = (math.floor(candidate_pods * factor) + 1, math.floor(stable_pods * factor) + 1)
    return (
        f"stable's own pods differ by {noise.tau:.0%}: with {candidate_pods} candidate and {stable_pods} stable pods that is more "
        f"than the tolerance; it takes {need[0]} and {need[1]} pods, or a wider tolerance"
    )
