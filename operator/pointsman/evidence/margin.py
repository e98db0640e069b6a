"""The e-value of one look against the line ``p_candidate = ratio * p_stable + excess``, in Poisson and exact Bernoulli form.

Both forms are the likelihood ratio of a guessed alternative to its reverse information projection on the line: Turner, Ly and
Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping" (2021), Theorem 1, here
for a line with a slope; the Poisson form is its limit for small rates and stays an e-value for Bernoulli counts because
1 + y <= exp(y). The side is the guess's: with a guess above the line the e-value tests ``p_candidate <= line`` (harm), below
it ``p_candidate >= line`` (safety). Multiplying looks whose guesses come from earlier looks only gives an e-process (Ville).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pointsman.evidence.model import Numbers

HARM_FACTORS: Numbers = np.array([1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0])
SAFE_FACTORS: Numbers = np.array([0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05])
SAFE_WEIGHTS: Numbers = np.log([*np.full(len(SAFE_FACTORS), 0.75 / len(SAFE_FACTORS)), 0.25])
"""Logs of the safety copies' weights: those of the factors, and last the copy that guesses a candidate as good as stable (docs/adr/0010)."""
EXACT_FROM = (
    0.1  # line heights from which the Poisson form gives away too much: its growth lacks the 1/(1-p) of the variance
)
_LEAST, _MOST = 1e-15, 1 - 1e-12
_BELOW = 0.95  # of the line's height, at most, is the guess of a candidate as good as stable
_ROUNDS = 60
_NEAR = 1e-7  # Newton's step, relative to the variances, after which it is exact: its error is about the square


class Arms(NamedTuple):
    """Counts of one look as floats of broadcastable shapes; a look is empty where either arm has no request."""

    candidate_requests: Numbers
    candidate_bad: Numbers
    stable_requests: Numbers
    stable_bad: Numbers

    def spread(self, axes: int) -> Arms:
        """Return the same counts with ``axes`` new axes behind their own, to broadcast against mixtures."""
        behind = (..., *(None,) * axes)
        return Arms(*(a[behind] for a in self))

    def both(self) -> NDArray[np.bool_]:
        """Return where both arms have requests; elsewhere there is nothing to compare."""
        return np.asarray((self.candidate_requests > 0) & (self.stable_requests > 0))


class Line(NamedTuple):
    """The boundary between harm and no harm: ``ratio`` > 0 and ``excess`` >= 0 (a fraction), broadcastable."""

    ratio: Numbers
    excess: Numbers

    def height(self, stable: Numbers) -> Numbers:
        """Return the candidate's rate on the line above the stable arm's rate."""
        return np.asarray(self.ratio * stable + self.excess)


def log_e(arms: Arms, line: Line, stable: Numbers, factors: Numbers) -> Numbers:
    """Return the log e-value of a look for each factor, in the form that suits the guessed rates.

    The form is chosen by the guess, hence by earlier looks only, which keeps the product over looks an e-process.

    Args:
        arms: counts, broadcastable against ``factors``.
        line: the boundary.
        stable: guess of the stable arm's rate from earlier looks, in (0, 1).
        factors: all above 1 for harm, all below 1 for safety; the guessed candidate's rate is factor x the line's height
            (in the exact form the odds are multiplied instead, so that the guess stays a probability).
    """
    height = line.height(stable)
    return _log_e(arms, line, stable, small=factors * height, full=odds_times(height, factors))


def _log_e(arms: Arms, line: Line, stable: Numbers, *, small: Numbers, full: Numbers) -> Numbers:
    """Return the log e-value by the form that suits; the candidate's guesses of the Poisson and of the exact form."""
    exact = np.asarray(stable > EXACT_FROM)
    if not np.any(exact):
        return poisson(arms, line, candidate=small, stable=stable)
    if np.all(exact):
        return bernoulli(arms, line, candidate=full, stable=stable)
    limit = poisson(arms, line, candidate=small, stable=stable)
    return np.where(exact, bernoulli(arms, line, candidate=full, stable=stable), limit)


def log_e_safe(arms: Arms, line: Line, stable: Numbers) -> Numbers:
    """Return the log e-value of a look for each safety copy, shape (..., 8): of every factor, and of "as good as stable".

    The last copy's alternative is the one that a rollout hopes for, and the guess for it needs no grid: it is the stable arm's.

    Args:
        arms: counts, with an axis for the copies.
        line: the boundary.
        stable: guess of the stable arm's rate from earlier looks, in (0, 1).
    """
    height = line.height(stable)
    small = and_equal(SAFE_FACTORS * height, height, equal=stable)
    full = and_equal(odds_times(height, SAFE_FACTORS), height, equal=stable)
    return _log_e(arms, line, stable, small=small, full=full)


def bernoulli_safe(arms: Arms, line: Line, *, candidate: Numbers, stable: Numbers) -> Numbers:
    """Return the exact log e-value for each safety copy, shape (..., 8), where what is bad differs between the arms.

    Args:
        arms: counts, with an axis for the copies.
        line: the boundary.
        candidate: guessed rate of a candidate that is as good as stable, by its own measure.
        stable: guessed rate of the stable arm.
    """
    height = line.height(stable)
    guesses = and_equal(odds_times(height, SAFE_FACTORS), height, equal=candidate)
    return bernoulli(arms, line, candidate=guesses, stable=stable)


def and_equal(guesses: Numbers, height: Numbers, *, equal: Numbers) -> Numbers:
    """Return the guesses (..., 7) and behind them that of a candidate as good as stable, kept under the line, (..., 8).

    Args:
        guesses: of the factors.
        height: the line's, shape (..., 1).
        equal: the rate of a candidate as good as stable, shape (..., 1).
    """
    below = np.minimum(equal, _BELOW * height)
    shape = np.broadcast_shapes(guesses.shape[:-1], below.shape[:-1])
    return np.concatenate(
        [np.broadcast_to(guesses, (*shape, guesses.shape[-1])), np.broadcast_to(below, (*shape, 1))], axis=-1
    )


def odds_times(rate: Numbers, factor: Numbers) -> Numbers:
    """Return the rate whose odds are ``factor`` times those of ``rate``, both inside (0, 1)."""
    rate = _clip(rate, _LEAST, _MOST)
    return np.asarray(factor * rate / (1 - rate + factor * rate))


def poisson(arms: Arms, line: Line, *, candidate: Numbers, stable: Numbers) -> Numbers:
    """Return x_c ln a + x_s ln b - n_c d (a - 1), the log e-value in the Poisson limit; 0 for an empty look.

    With b = 1 - rho (a - 1), rho = R n_c / n_s: E[e] <= exp((a - 1) (n_c p_c - n_c (R p_s + d))) for Bernoulli and Poisson
    counts alike, so it is an e-value on and inside the null of its side, whatever p_s. The a used is the projection's,
    written for a - 1 so that nothing cancels at 10^9 requests.

    Args:
        arms: counts.
        line: the boundary.
        candidate: guessed rate of the candidate, > 0.
        stable: guessed rate of the stable arm, > 0.
    """
    both = arms.both()
    rho = line.ratio * np.where(both, arms.candidate_requests, 1.0) / np.where(both, arms.stable_requests, 1.0)
    gap = candidate - line.height(stable)
    middle = line.excess + line.ratio * stable + rho * (candidate - line.excess)
    square = middle * middle - 4 * line.excess * rho * gap
    root = np.sqrt(np.maximum(square, 0.0))
    positive = middle > 0
    under = np.where(positive, middle + root, 1.0)
    other = np.where(positive, 1.0, 2 * line.excess * rho)
    step = np.where(positive, 2 * gap / under, (middle - root) / other)
    step = _clip(step, -1 + _LEAST, (1 - _LEAST) / rho)
    e = (
        arms.candidate_bad * np.log1p(step)
        + arms.stable_bad * np.log1p(-rho * step)
        - np.where(both, arms.candidate_requests, 0.0) * line.excess * step
    )
    return np.where(both, e, 0.0)


def bernoulli(arms: Arms, line: Line, *, candidate: Numbers, stable: Numbers) -> Numbers:
    """Return the exact log e-value for Bernoulli counts; 0 for an empty look.

    e = (t_c/m_c)^x_c ((1-t_c)/(1-m_c))^(n_c-x_c) (t_s/m)^x_s ((1-t_s)/(1-m))^(n_s-x_s) with m_c = R m + d and m minimising
    n_c KL(t_c || R m + d) + n_s KL(t_s || m). Where the guess is not on its side of the line (the line is above 1), e is 1.

    Args:
        arms: counts.
        line: the boundary.
        candidate: guessed rate of the candidate, in (0, 1).
        stable: guessed rate of the stable arm, in (0, 1).
    """
    both = arms.both()
    stable = _clip(stable, _LEAST, _MOST)
    candidate = _clip(candidate, _LEAST, _MOST)
    vacuous = line.height(stable) >= _MOST
    n_c, n_s = np.where(both, arms.candidate_requests, 1.0), np.where(both, arms.stable_requests, 1.0)
    if np.all(line.excess == 0):
        m = _project_slope(n_c, n_s, line.ratio, candidate, stable)
    else:
        m = _project(n_c, n_s, line, candidate, stable)
    m = _clip(m, _LEAST, _MOST)
    m_c = _clip(line.height(m), _LEAST, _MOST)
    e = (
        arms.candidate_bad * np.log(candidate / m_c)
        + (arms.candidate_requests - arms.candidate_bad) * (np.log1p(-candidate) - np.log1p(-m_c))
        + arms.stable_bad * np.log(stable / m)
        + (arms.stable_requests - arms.stable_bad) * (np.log1p(-stable) - np.log1p(-m))
    )
    return np.where(both & ~vacuous, e, 0.0)


def _clip(values: Numbers, low: Numbers | float, high: Numbers | float) -> Numbers:
    return np.asarray(np.minimum(np.maximum(values, low), high))  # np.clip takes several times as long on small arrays


def one_sample(requests: Numbers, bad: Numbers, *, null: Numbers, guess: Numbers) -> Numbers:
    """Return the log likelihood ratio of Bernoulli(guess) to Bernoulli(null): an e-value for every rate beyond ``null``.

    With guess < null it tests ``rate >= null``, with guess > null ``rate <= null`` (monotone likelihood ratio).
    """
    return np.asarray(bad * np.log(guess / null) + (requests - bad) * (np.log1p(-guess) - np.log1p(-null)))


def _project_slope(n_c: Numbers, n_s: Numbers, ratio: Numbers, candidate: Numbers, stable: Numbers) -> Numbers:
    """Return the projection for d = 0: the smaller root of its quadratic (for ratio 1 the pooled rate)."""
    square = ratio * (n_c + n_s)
    linear = n_c * (ratio + candidate) + n_s * (1 + ratio * stable)
    constant = n_c * candidate + n_s * stable
    root = np.sqrt(np.maximum(linear * linear - 4 * square * constant, 0.0))
    return np.asarray(2 * constant / (linear + root))


def _project(n_c: Numbers, n_s: Numbers, line: Line, candidate: Numbers, stable: Numbers) -> Numbers:
    """Return the projection for d > 0: the root of the falling derivative between the two arms' own optima, by safe Newton."""
    top = np.minimum((1 - line.excess) / line.ratio, 1.0) * _MOST
    own = (candidate - line.excess) / line.ratio
    low = _clip(np.minimum(own, stable), _LEAST, top)
    high = _clip(np.maximum(own, stable), _LEAST, top)
    share = np.minimum(n_c / (n_c + n_s), 0.9)  # not at the end itself, where the derivative may have its pole
    m = share * _clip(own, low, high) + (1 - share) * _clip(stable, low, high)
    weight = n_c * line.ratio
    for _ in range(_ROUNDS):
        m_c = line.height(m)
        var_c, var = m_c * (1 - m_c), m * (1 - m)
        gap_c, gap_s = candidate - m_c, stable - m
        cubic = weight * gap_c * var + n_s * gap_s * var_c  # the derivative times both variances: a polynomial of m
        rising = cubic > 0
        low, high = np.where(rising, m, low), np.where(rising, high, m)
        falling = weight * (line.ratio * var - gap_c * (1 - 2 * m))
        falling += n_s * (var_c - gap_s * line.ratio * (1 - 2 * m_c))
        newton = m + cubic / np.where(falling > 0, falling, math.inf)
        inside = (newton >= low) & (newton <= high)
        near = inside & (np.abs(newton - m) <= _NEAR * np.minimum(var, var_c))
        m = np.where(inside, newton, (low + high) / 2)
        if near.all():
            return np.asarray(m)
    return np.asarray(m)
