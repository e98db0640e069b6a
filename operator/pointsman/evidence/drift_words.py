"""What the drift detector found, in a sentence: what moved, how far, since how many requests, and what that does not prove."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pointsman.evidence.words import rounded

if TYPE_CHECKING:
    from pointsman.evidence.drift import DriftVerdict, Moved

_NAMED = 5  # of what moved, before the rest is only counted
_FOUND = {
    "Inputs": "the inputs drifted and no prediction did",
    "InputsAndPredictions": "the inputs drifted, and predictions with them",
    "Predictions": "predictions drifted; that every watched input stayed is not shown",
    "Model": "predictions drifted while every watched input stayed: look at the model, and at inputs that are not watched",
}
_CAUSE = "no version serves beside this one, so nothing is proven about the cause"


def said(verdict: DriftVerdict) -> str:
    """Return what the detector says now."""
    if not verdict.kind:
        return "no drift beyond what is allowed"
    named = "; ".join(_moved(one) for one in verdict.moved[:_NAMED])
    more = len(verdict.moved) - _NAMED
    others = f"; and {more} more" if more > 0 else ""
    return f"{_FOUND[verdict.kind]}: {named}{others} ({_CAUSE})"


def _moved(one: Moved) -> str:
    points = math.copysign(float(f"{abs(one.points):.2g}"), one.points)
    return (
        f"{one.name} {one.event}: {_percent(one.share)} instead of {_percent(one.expected)}, {points:+g} points where "
        f"{100 * one.allowed:.2g} are allowed, in some {rounded(one.requests):,} requests"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
