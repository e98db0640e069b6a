"""The pod margin: how far two arms of few pods may differ only because pods differ."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pointsman.evidence.model import Count, Noise, Numbers


_DEVIATIONS = 2.0


def pod_margin(
    tau: float | Numbers, candidate_pods: Count, stable_pods: Count, *, deviations: float | Numbers = _DEVIATIONS
) -> Numbers:
    """Return M = exp(z tau sqrt(1/k_c + 1/k_s)), z standard deviations of the arms' log ratio; 1 while an arm has no pod."""
    if not np.any(tau):
        return np.asarray(1.0)
    k_c, k_s = np.asarray(candidate_pods, dtype=float), np.asarray(stable_pods, dtype=float)
    between = np.sqrt(1 / np.maximum(k_c, 1) + 1 / np.maximum(k_s, 1))
    return np.where((k_c >= 1) & (k_s >= 1), np.exp(deviations * np.asarray(tau) * between), 1.0)


def harm_margin(noise: Noise, candidate_pods: Count, stable_pods: Count, *, false_rollback: float) -> Numbers:
    """Return the margin that widens harm: at least two deviations, more where fewer arms of unlucky pods may be taken for harmful.

    The quantile is Student's, because tau was measured on a few pods: at 1 % it is 2.9 deviations for twenty, 5.6 for five.
    """
    if not np.any(noise.tau):
        return np.asarray(1.0)
    normal = NormalDist().inv_cdf(1 - false_rollback / 2)
    measured = np.maximum(_DEVIATIONS, _student(normal, np.maximum(np.asarray(noise.pods, dtype=float) - 1, 1)))
    deviations = np.where(noise.assumed | (np.asarray(noise.pods) < 1), max(_DEVIATIONS, normal), measured)
    return pod_margin(noise.tau, candidate_pods, stable_pods, deviations=deviations)


def _student(normal: float, freedom: Numbers) -> Numbers:
    """Return Student's quantile where the normal one is ``normal`` (Abramowitz and Stegun 26.7.5; 7 % low at two degrees)."""
    z, v = normal, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return np.asarray(z + sum(term / v**power for power, term in enumerate(terms, 1)))


def safety_margin(noise: Noise, candidate_pods: Count, stable_pods: Count) -> Numbers:
    """Return the margin that tightens safety: 1 where tau is assumed, as an assumption must not keep a good version out."""
    return np.where(noise.assumed, 1.0, pod_margin(noise.tau, candidate_pods, stable_pods))


def pods_needed(noise: Noise, candidate_pods: int, stable_pods: int, widest: float) -> str:
    """Return what it takes for an equal version to be proven Safe where the margin of these pods reaches ``widest``, else "".

    Args:
        noise: the stable arm's noise, of one rollout.
        candidate_pods: pods of the candidate.
        stable_pods: pods of stable.
        widest: margin at which the tolerance is used up; 1 or less where it allows no difference at all.
    """
    if widest <= 1:
        return "the tolerance allows no difference, so that only a better version can be proven Safe: widen it"
    tau = float(noise.tau)
    if noise.assumed or candidate_pods < 1 or stable_pods < 1:
        return ""
    if float(pod_margin(tau, candidate_pods, stable_pods)) < widest:
        return ""
    now = 1 / candidate_pods + 1 / stable_pods
    factor = now / (math.log(widest) / (2 * tau)) ** 2
    need = (math.floor(candidate_pods * factor) + 1, math.floor(stable_pods * factor) + 1)
    return (
        f"stable's own pods differ by {tau:.0%}: with {candidate_pods} candidate and {stable_pods} stable pods that is more "
        f"than the tolerance; it takes {need[0]} and {need[1]} pods, or a wider tolerance"
    )
