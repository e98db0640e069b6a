"""What a feature or prediction looks like when nothing is wrong: its share in every tail, by hour of the week, and how far it may move.

With counts by hour the norm follows the daily and weekly cycle: shares are those of the middles of the hours, with straight lines
between them. It may move by the tolerance, or by what cannot be told from chance where that is more: the sampling error of
the hour's own counts, and twice the variance with which hours wander around their neighbours (once for the hour that was
learnt, once for the one that is watched). Third differences over the hours measure that, because they cancel what is smooth
(Hall, Kay and Titterington, "Asymptotically optimal difference-based estimation of variance in nonparametric regression", 1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence.bins import OTHER, Bins
from pointsman.evidence.model import Integers, Numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOURS = 168
"""Hours of a week, the first from midnight to one on Monday, UTC."""
_HOUR, _MONDAY = 3600.0, 72  # seconds; hours from the Unix epoch's weekday, Thursday, to the week's begin
_APART = 0.05  # of the requests between two edges, under which they say the same
_RARE = 0.01  # share of a category under which it counts among the others
_NONE = 0.001  # share under which there is as good as nothing beyond an edge
_MISSED = 0.01  # allowed probability that any band misses the share by chance
_CHI_MEDIAN = 0.4549  # median of chi-squared with one degree of freedom
_WEIGHTS = (1.0, -3.0, 3.0, -1.0)  # of a third difference
_ALIKE = 6.0  # variance of a third difference of hours that resemble their neighbours, with an hour's memory (of strangers: 20)
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Profile:
    """How often each bin was counted.

    Attributes:
        bins: of the feature or prediction.
        counts: shape (..., H, B): by hour of the week (H = ``HOURS``) or all together (H = 1).
    """

    bins: Bins
    counts: Integers

    def __post_init__(self) -> None:
        if np.ndim(self.counts) < 2 or self.counts.shape[-2:] not in {(1, self.bins.size), (HOURS, self.bins.size)}:  # noqa: PLR2004  hours and bins
            raise ValueError(
                f"{self.bins.name}: counts need 1 or {HOURS} rows of {self.bins.size} bins, not the shape {np.shape(self.counts)}"
            )


@dataclass(frozen=True, eq=False)
class Norm:
    """What live counts are held against; ``...`` is the batch shape, E events.

    Attributes:
        bins: the bins that are told apart: the profile's, those joined that say the same.
        groups: which of them each bin of the profile belongs to.
        shares: expected share of each event, inside (0, 1), shape (..., H, E).
        allowed: how far each may move, a fraction, shape (..., H, E).
    """

    bins: Bins
    groups: tuple[int, ...]
    shares: Numbers
    allowed: Numbers

    def at(self, seconds: float) -> tuple[Numbers, Numbers]:
        """Return expected shares and how far they may move at a time in Unix seconds, shapes (..., E)."""
        hours = self.shares.shape[-2]
        if hours == 1:
            return self.shares[..., 0, :], self.allowed[..., 0, :]
        position = hour_of_week(seconds) - 0.5
        first, part = int(position // 1) % hours, position % 1
        after = (first + 1) % hours
        return (
            (1 - part) * self.shares[..., first, :] + part * self.shares[..., after, :],
            (1 - part) * self.allowed[..., first, :] + part * self.allowed[..., after, :],
        )

    def joined(self, counts: Integers) -> Integers:
        """Return counts per bin of the norm, shape (..., B'), from those of the profile's bins, (..., B).

        Raises:
            ValueError: there are more or fewer bins.
        """
        if counts.shape[-1] != len(self.groups):
            raise ValueError(
                f"{self.bins.name}: the reference has {len(self.groups)} bins, the counts have {counts.shape[-1]}: "
                "the inspector must count with the edges or categories of the reference"
            )
        return joined(counts, self.groups)


def hour_of_week(seconds: float) -> float:
    """Return the hour of the week, in [0, 168), at a time in Unix seconds."""
    return (seconds / _HOUR + _MONDAY) % HOURS


def norms(profiles: Sequence[Profile], *, tolerance: float) -> tuple[Norm, ...]:
    """Return the norm of every profile; bands are as wide as it takes for all of them together to miss no share by chance.

    Args:
        profiles: of what is watched together.
        tolerance: how far any tail may move, a fraction.
    """
    kept = [coarse(one.bins, one.counts.reshape(-1, one.bins.size).sum(axis=0)) for one in profiles]
    tests = sum(len(bins.events()) for bins, _ in kept)
    deviations = NormalDist().inv_cdf(1 - _MISSED / max(tests, 1))
    return tuple(
        _norm(profile, bins, groups, tolerance=tolerance, deviations=deviations)
        for profile, (bins, groups) in zip(profiles, kept, strict=True)
    )


def _norm(profile: Profile, bins: Bins, groups: tuple[int, ...], *, tolerance: float, deviations: float) -> Norm:
    events = bins.events().astype(float)
    joining = np.equal(np.asarray(groups)[:, None], np.arange(bins.size)).astype(float)
    counts = profile.counts @ joining
    requests, happened = counts.sum(axis=-1, keepdims=True), counts @ events.T
    shares = (happened + 0.5) / (requests + 1)
    wide = (happened + 2) / (requests + 4)  # Agresti and Coull 1998: none of a few requests is no proof of none
    sampling = wide * (1 - wide) / (requests + 4)
    wander = _wander(shares, sampling, requests) if shares.shape[-2] == HOURS else 0.0
    return Norm(bins, groups, shares, np.maximum(tolerance, deviations * np.sqrt(2 * wander + sampling)))


def _wander(shares: Numbers, sampling: Numbers, requests: Numbers) -> Numbers:
    """Return the variance of an hour's shares around its neighbours beyond sampling, shape (..., 1, E).

    It comes from the median, so that the few hours in which a day turns into a weekend do not count.
    """
    rolled = range(1, 1 - len(_WEIGHTS), -1)
    difference = sum(weight * np.roll(shares, by, axis=-2) for weight, by in zip(_WEIGHTS, rolled, strict=True))
    chance = sum(weight**2 * np.roll(sampling, by, axis=-2) for weight, by in zip(_WEIGHTS, rolled, strict=True))
    seen = np.all([np.roll(requests, by, axis=-2) > 0 for by in rolled], axis=0)
    seen = np.broadcast_to(seen, shares.shape)
    ratio = np.where(seen, difference**2 / np.maximum(chance, _LEAST), np.nan)
    some = seen.any(axis=-2, keepdims=True)
    middle = np.nanmedian(np.where(some, ratio, 0.0), axis=-2, keepdims=True) / _CHI_MEDIAN
    typical = np.nanmean(np.where(some, np.where(seen, chance, np.nan), 0.0), axis=-2, keepdims=True)
    return np.asarray(np.maximum(middle - 1, 0.0) * typical / _ALIKE)


def told(bins: Bins, expected: Mapping[float | str, tuple[float, float]]) -> Norm:
    """Return the norm of one moment, as somebody else worked it out.

    Args:
        bins: of the counts.
        expected: by edge the share over it, by category its own (all others are ``other``): and how far it may be from it.

    Raises:
        ValueError: nothing is expected at any edge, or of any category.
    """
    if bins.categories:
        keys: list[float | str] = [one for one in bins.categories if one in expected]
        places = {name: place for place, name in enumerate(keys)}
        groups = tuple(places.get(one, len(keys)) for one in (*bins.categories, OTHER))
        kept = Bins(bins.name, categories=tuple(map(str, keys)))
        keys.append(OTHER)
    else:
        edges = [edge for edge in bins.edges if edge in expected]
        groups = tuple(sum(kept < edge for kept in edges) for edge in (*bins.edges, np.inf))
        kept, keys = Bins(bins.name, edges=tuple(edges)), list(edges)
    shares, allowed = (np.array([expected.get(key, (0.0, 1.0))[i] for key in keys]) for i in (0, 1))
    shares = np.clip(shares, _LEAST, 1 - _LEAST)
    return Norm(
        kept, groups, np.concatenate([shares, 1 - shares])[None, :], np.concatenate([allowed, allowed])[None, :]
    )


def coarse(bins: Bins, counts: Integers) -> tuple[Bins, tuple[int, ...]]:
    """Return bins joined where they say the same, and the group of each: fewer questions, so that each needs less evidence.

    Args:
        bins: all of them.
        counts: of each, shape (B,).
    """
    shares = counts / max(int(counts.sum()), 1)
    if bins.categories:
        kept = [i for i, share in enumerate(shares[:-1]) if share >= _RARE] or [int(np.argmax(shares[:-1]))]
        places = {index: place for place, index in enumerate(kept)}
        groups = tuple(places.get(i, len(kept)) for i in range(bins.size))
        return Bins(bins.name, categories=tuple(bins.categories[i] for i in kept)), groups
    kept = _telling(np.cumsum(shares)[:-1])
    groups = tuple(int(np.searchsorted(kept, i)) for i in range(bins.size))
    return Bins(bins.name, edges=tuple(bins.edges[i] for i in kept)), groups


def joined(counts: Integers, groups: Sequence[int]) -> Integers:
    """Return counts of the groups of bins, shape (..., G), from those of the bins, (..., B)."""
    return np.stack([counts[..., np.equal(groups, group)].sum(axis=-1) for group in range(max(groups) + 1)], axis=-1)


def _telling(under: Numbers) -> list[int]:
    """Return the edges that are apart by the requests between them, and those right below and above as good as all requests.

    Args:
        under: share of requests up to each edge.
    """
    kept, last = [], 0.0
    below, above = int(np.searchsorted(under, _NONE)) - 1, int(np.searchsorted(under, 1 - _NONE))
    for i, share in enumerate(under):
        if i in (below, above) or (share - last >= _APART and share <= 1 - _APART / 2):
            kept.append(i)
            last = share
    return kept or [int(np.argmin(np.abs(under - 0.5)))]
