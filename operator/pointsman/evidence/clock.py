"""What a gate's evidence knows of time and pods, whatever it measures; and its one deadline test."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence import binomial
from pointsman.evidence.batch import spread
from pointsman.evidence.model import Integers, Numbers

if TYPE_CHECKING:
    from pointsman.evidence.model import Look


@dataclass(frozen=True, eq=False)
class Clock:
    """The time that has been used up, and the pods of the last look.

    Attributes:
        elapsed: seconds of the deadline used up.
        step_began: what ``elapsed`` was when the step began, shape (...).
        candidate_pods, stable_pods: pods at the last look, 0 before the first, shape (...).
    """

    elapsed: float
    step_began: Numbers
    candidate_pods: Integers
    stable_pods: Integers

    @classmethod
    def begin(cls, batch: tuple[int, ...]) -> Clock:
        """Return the clock before the first look."""
        none = np.zeros(batch, dtype=np.int64)
        return cls(elapsed=0.0, step_began=np.zeros(batch), candidate_pods=none, stable_pods=none)

    def tick(self, elapsed: float) -> Clock:
        """Return the clock after a look that says nothing of pods."""
        return replace(self, elapsed=self.used_up(elapsed))

    def used_up(self, elapsed: float) -> float:
        """Return the seconds of the deadline used up after a look; time never runs back."""
        return max(self.elapsed, elapsed)

    def fold(self, look: Look) -> Clock:
        """Return the clock after a look."""
        return replace(
            self.tick(look.elapsed),
            candidate_pods=np.full(self.step_began.shape, look.candidate_pods, dtype=np.int64),
            stable_pods=np.full(self.step_began.shape, look.stable_pods, dtype=np.int64),
        )

    def next_step(self) -> Clock:
        """Return the clock of a new step."""
        return replace(self, step_began=np.full_like(self.step_began, self.elapsed))

    def resume_step(self, earlier: Clock) -> Clock:
        """Return the clock on a return to a step: its time so far counts as this step's again."""
        return replace(self, step_began=np.asarray(self.elapsed - (earlier.elapsed - earlier.step_began)))


@dataclass(frozen=True, eq=False)
class DeadlineTest:
    """The last step's conditional binomial test, at a time that is fixed when the step begins.

    Attributes:
        sums: running sums of ``binomial.strata``, shape (..., K, 3), K tests of which the least p-value counts K-fold (Bonferroni).
        p: its p-value, nan until it was carried out, shape (...).
        due_at: when it is carried out, on the clock of ``Look.at``; inf for no test, shape (...).
    """

    sums: Numbers
    p: Numbers
    due_at: Numbers

    @classmethod
    def begin(cls, batch: tuple[int, ...], tests: int, due_at: float | None = None) -> DeadlineTest:
        """Return the test before a step's first look; ``due_at`` None: there is none."""
        return cls(
            sums=np.zeros((*batch, tests, 3)),
            p=np.full(batch, math.nan),
            due_at=np.full(batch, math.inf if due_at is None else due_at),
        )

    def fold(self, strata: Numbers, *, at: float, phi: float | Numbers) -> DeadlineTest:
        """Return the test after a look with ``strata`` (..., K, 3); carried out at the first look from its time on."""
        asked = np.isfinite(self.due_at)
        if not np.any(asked):
            return self
        sums = self.sums + np.where(asked[..., None, None], strata, 0.0)
        due = np.isnan(self.p) & (at >= self.due_at)
        if not np.any(due):
            return replace(self, sums=sums)
        least = np.min(binomial.p_value(sums, spread(phi)), axis=-1)
        return replace(self, sums=sums, p=np.where(due, np.minimum(1.0, sums.shape[-2] * least), self.p))
