"""What goes into and comes out of the gates on replayed requests: what both versions answered to them, as frozen values.

An inspector sends each mirrored request to one pod of either version and counts; increments of its counters are a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from pointsman.evidence.bins import Bins
from pointsman.evidence.model import Count, Integers, Noise, check_errors

_ASSUMED = Noise(phi=1.5, assumed=True)


@dataclass(frozen=True)
class AgreementGate:
    """A gate on the share of replayed requests that the candidate answers differently, frozen at the attempt's start.

    Attributes:
        allowed: share of requests that may be answered differently (``atLeast: "99"`` is 0.01): Safe is proof of staying under it.
        harm: Harm is proof of more than ``harm * allowed``. 1 unlike for other gates: ``allowed`` is a number that somebody wrote,
            not another version's rate, so that no noise of a control arm blurs it, and with one line every version comes to a verdict.
        slices: how many slices are told apart, 0 for none; further names count as ``other``.
        false_rollback, false_promotion, weight, deadline: as in ``RateGate``.
    """

    allowed: float = 0.01
    harm: float = 1.0
    slices: int = 0
    false_rollback: float = 0.01
    false_promotion: float = 0.05
    weight: float = 1.0
    deadline: float = 7200.0
    deadline_test: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_errors(self.false_rollback, self.false_promotion, self.weight, self.deadline)
        if not 0 < self.allowed < 1:
            raise ValueError(
                f"the share of answers that may differ must lie between 0 and 1, not {self.allowed}: at least 99 percent alike "
                "is 0.01; that not one ever differs cannot be proven, so write less than 100"
            )
        if not (self.harm >= 1 and self.harm * self.allowed < 1):
            raise ValueError(f"harm must be 1 or more and harm x allowed less than 1, not {self.harm} x {self.allowed}")
        if self.slices < 0:
            raise ValueError(f"a number of slices must be 0 or more, not {self.slices}")


@dataclass(frozen=True)
class PredictionGate:
    """A gate on the distribution of what both versions predict for the same requests, frozen at the attempt's start.

    Attributes:
        tolerance: how far any tail may move, a fraction (5 points are 0.05): Safe is proof that none moves further, Harm that one does.
        noise: dispersion of the counts; there is no hour before the replays in which it could be measured.
        false_rollback, false_promotion, weight, deadline: as in ``RateGate``.
    """

    tolerance: float = 0.05
    noise: Noise = _ASSUMED
    false_rollback: float = 0.01
    false_promotion: float = 0.05
    weight: float = 1.0
    deadline: float = 7200.0
    deadline_test: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_errors(self.false_rollback, self.false_promotion, self.weight, self.deadline)
        if not 0 < self.tolerance < 1:
            raise ValueError(
                f"the tolerance must lie between 0 and 1, not {self.tolerance}: 5 points are 0.05; without any, "
                "every version is found to differ as soon as there are requests enough"
            )


@dataclass(frozen=True)
class AgreementLook:
    """Exact increments of one look: requests whose answers were compared, and those of which the answers differed.

    Attributes:
        compared, disagreed: of all requests, those of no slice included; ints or integer arrays of one batch shape.
        slices: the same two for each slice, by its name.
        elapsed, at: as in ``RateLook``.
    """

    compared: Count
    disagreed: Count
    slices: Mapping[str, tuple[Count, Count]] = field(default_factory=dict)
    elapsed: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        if "" in self.slices:
            raise ValueError("a slice needs a name: all requests together are `compared` and `disagreed`")
        for name, (compared, disagreed) in {"": (self.compared, self.disagreed), **self.slices}.items():
            if np.any(np.less(disagreed, 0)) or np.any(np.less(compared, disagreed)):
                where = f"slice {name!r}" if name else "the look"
                raise ValueError(f"0 <= disagreed <= compared must hold; {where} has {disagreed} of {compared}")


@dataclass(frozen=True)
class Histograms:
    """What both versions predicted in one look: requests per bin, not cumulative, shape (..., B)."""

    bins: Bins
    candidate: tuple[int, ...] | Integers
    stable: tuple[int, ...] | Integers

    def __post_init__(self) -> None:
        for arm, counts in (("candidate", self.candidate), ("stable", self.stable)):
            if np.shape(counts)[-1:] != (self.bins.size,) or np.any(np.less(counts, 0)):
                raise ValueError(
                    f"{self.bins.name}: the {arm} needs {self.bins.size} counts of 0 or more, not {counts}"
                )


@dataclass(frozen=True)
class PredictionLook:
    """Exact increments of one look: a histogram of each prediction; ``elapsed`` and ``at`` as in ``RateLook``."""

    outputs: tuple[Histograms, ...]
    elapsed: float = 0.0
    at: float = 0.0


@dataclass(frozen=True)
class SliceVerdict:
    """One slice of an agreement gate, in this step.

    Attributes:
        name: of the slice.
        compared, disagreed: requests whose answers were compared, and those answered differently.
        log_harm: its own harm evidence, over the whole attempt.
        log_safe: its own safety evidence.
        enough: whether it has traffic enough to be judged: by the deadline as much as it takes if every answer is alike.
    """

    name: str
    compared: int
    disagreed: int
    log_harm: float
    log_safe: float
    enough: bool


@dataclass(frozen=True)
class Shift:
    """The tail of a distribution that differs most: shares of both versions, fractions, and what they are shares of."""

    name: str
    event: str
    candidate: float
    stable: float


ReplayGate: TypeAlias = AgreementGate | PredictionGate
ReplayLook: TypeAlias = AgreementLook | PredictionLook
