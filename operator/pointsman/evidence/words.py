"""A gate's verdict in a sentence: what was compared, counts of both arms, estimate and interval, rule, what is still needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pointsman.evidence.model import LATENCY_LEVELS, Gate, LatencyGate, RateGate
from pointsman.evidence.replays import AgreementGate, PredictionGate
from pointsman.evidence.verdict import Counts

if TYPE_CHECKING:
    from pointsman.evidence.replays import ReplayGate, SliceVerdict
    from pointsman.evidence.verdict import GateVerdict

_MINUTE, _HOUR = 60.0, 3600.0


def harm(gate: Gate | ReplayGate, verdict: GateVerdict, *, bad: str = "failed") -> str:
    """Return why this gate is named Harm; for a gate that is named by ``gate.combine``.

    Args:
        gate: the gate.
        verdict: its verdict.
        bad: what a bad request did, for a gate on a rate.
    """
    if isinstance(gate, AgreementGate | PredictionGate):
        return _replays_harm(gate, verdict)
    if isinstance(gate, RateGate):
        said, proven = _counts(verdict.counts, bad), _rate_margin(verdict.aside.harm_ratio, gate.harm.excess)
        return f"{said}{_estimate(verdict)}: proven to be over {proven}"
    levels = ", ".join(_name(level) for level in LATENCY_LEVELS)
    return f"{_latency(verdict, verdict.counts)}{_estimate(verdict)}: proven to be more than {verdict.aside.harm_ratio:.3g}x as slow ({levels} together)"


def standing(gate: Gate | ReplayGate, verdict: GateVerdict, *, bad: str = "failed") -> str:
    """Return where a gate that is not Harm stands: Safe, Unanswerable, or Undecided with what is still needed."""
    counts = verdict.step_counts
    if verdict.unanswerable is not None:
        return verdict.unanswerable.message
    if isinstance(gate, AgreementGate | PredictionGate):
        return _replays_standing(gate, verdict)
    if counts.candidate_requests == 0 or counts.stable_requests == 0:
        return f"no requests to {_silent(counts)} in this step"
    if isinstance(gate, RateGate):
        said = _counts(counts, bad)
        claim = f"stay within {_rate_margin(verdict.aside.tolerance, gate.tolerance.excess)}"
    else:
        said, claim = _latency(verdict, counts), f"keep {_latency_claim(gate, verdict)}"
    said += _estimate(verdict)
    return f"{said}: proven to {claim}" if verdict.safe else f"{said}: not yet proven to {claim}{_needed(verdict)}"


def _replays_harm(gate: ReplayGate, verdict: GateVerdict) -> str:
    if isinstance(gate, PredictionGate):
        return (
            f"{_shifted(verdict)}: proven that a tail of the predictions moved by more than {_points(gate.tolerance)}"
        )
    said = _differing(verdict, verdict.counts)
    line = gate.harm * gate.allowed
    worst = max(verdict.aside.slices, key=lambda one: one.log_harm, default=None)
    if worst is None or worst.log_harm <= 0:
        return f"{said}: proven to be over {_share(line)}"
    return f"{said}, most of all in slice {_slice(worst)}: proven to be over {_share(line)}"


def _replays_standing(gate: ReplayGate, verdict: GateVerdict) -> str:
    if verdict.step_counts.candidate_requests == 0:
        return "no replayed requests in this step"
    needed = _needed(verdict, "if it goes on so", "replayed requests", never="as things are that cannot be proven")
    if isinstance(gate, PredictionGate):
        claim = f"keep every tail of the predictions within {_points(gate.tolerance)}"
        needed = _needed(verdict, "if both are equal", "replayed requests", never="that needs a wider tolerance")
        said = _shifted(verdict)
    else:
        said, claim = _differing(verdict, verdict.step_counts), f"stay under {_share(gate.allowed)}"
        judged = [one for one in verdict.aside.slices if one.enough]
        worst = min(judged, key=lambda one: one.log_safe, default=None)
        if worst is not None and worst.log_safe < verdict.safe_level:
            said += f", least proven in slice {_slice(worst)}"
        claim += f" in each of {len(judged)} slices" if len(judged) > 1 else ""
    return f"{said}: proven to {claim}" if verdict.safe else f"{said}: not yet proven to {claim}{needed}"


def _differing(verdict: GateVerdict, counts: Counts) -> str:
    differ, compared = counts.candidate_bad, counts.candidate_requests
    said = f"{differ:,} of {compared:,} replayed requests were answered differently ({_percent(differ, compared)})"
    if verdict.aside.interval is None:
        return said
    low, high = (100 * end for end in verdict.aside.interval)
    return f"{said}; between {low:.2g} % and {high:.2g} % (95 %)"


def _shifted(verdict: GateVerdict) -> str:
    shift = verdict.aside.shift
    if shift is None:
        return "no predictions"
    return f"{shift.name} {shift.event}: {100 * shift.candidate:.3g} % of the candidate's predictions, {100 * shift.stable:.3g} % of stable's"


def _slice(one: SliceVerdict) -> str:
    return f"{one.name!r} ({one.disagreed:,} of {one.compared:,})"


def _share(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.3g} points"


def _counts(counts: Counts, did: str) -> str:
    candidate = f"{counts.candidate_bad:,} of {counts.candidate_requests:,} requests to the candidate {did}"
    stable = f"{counts.stable_bad:,} of {counts.stable_requests:,} to stable"
    return (
        f"{candidate} ({_percent(counts.candidate_bad, counts.candidate_requests)}), "
        f"{stable} ({_percent(counts.stable_bad, counts.stable_requests)})"
    )


def _latency(verdict: GateVerdict, counts: Counts) -> str:
    hardest = max(verdict.aside.quantiles, key=lambda q: q.quantile, default=None)
    edge = "the edges" if hardest is None or not math.isfinite(hardest.upper) else _seconds(hardest.upper)
    return _counts(counts, f"took longer than {edge}")


def _latency_claim(gate: LatencyGate, verdict: GateVerdict) -> str:
    parts = []
    for q in verdict.aside.quantiles:
        name = _name(q.quantile)
        if math.isfinite(q.tolerance):
            parts.append(f"{name} within {q.tolerance:.3g}x stable's")
        elif math.isfinite(q.edge):
            parts.append(f"{name} under {_seconds(q.edge)}")
        else:
            parts.append(f"{name} within {gate.tolerance:.3g}x stable's")
    return ", ".join(parts)


def _estimate(verdict: GateVerdict) -> str:
    if verdict.aside.estimate is None:
        return ""
    said = f"; {verdict.aside.estimate:.3g}x as {'long' if verdict.aside.quantiles else 'often'}"
    if verdict.aside.interval is None:
        return said
    low, high = verdict.aside.interval
    if math.isinf(high):
        return f"{said}, at least {low:.2g}x (95 %)"
    if low <= 0:
        return f"{said}, at most {high:.2g}x (95 %)"
    return f"{said}, between {low:.2g}x and {high:.2g}x (95 %)"


def _needed(
    verdict: GateVerdict,
    case: str = "if both are equal",
    requests: str = "requests to the candidate",
    *,
    never: str = "",
) -> str:
    if verdict.needed_requests is None:
        reasons = (never,) if never else verdict.aside.notes[:1]
        return (
            "".join(f"; {reason}" for reason in reasons) or "; as things are that cannot be proven of an equal version"
        )
    requests = f"; {case}, about {rounded(verdict.needed_requests):,} more {requests}"
    return requests if verdict.needed_seconds is None else f"{requests} ({duration(verdict.needed_seconds)})"


def _silent(counts: Counts) -> str:
    if counts.candidate_requests == counts.stable_requests:
        return "either version"
    return "the candidate" if counts.candidate_requests == 0 else "stable"


def _rate_margin(ratio: float, excess: float) -> str:
    return f"{ratio:.3g}x stable's rate" if excess == 0 else f"{ratio:.3g}x stable's rate + {100 * excess:.3g} points"


def _name(level: float) -> str:
    return f"p{100 * level:g}"


def _percent(bad: int, of: int) -> str:
    return "-" if of == 0 else f"{100 * bad / of:.2g} %" if bad * 10 < of else f"{100 * bad / of:.0f} %"


def rounded(number: float) -> int:
    """Return a count with two digits, rounded up: what is expected is not known better."""
    digits = max(0, int(math.log10(max(number, 1))) - 1)
    return int(math.ceil(number / 10**digits) * 10**digits)


def duration(seconds: float) -> str:
    """Return seconds, minutes or hours, rounded up."""
    if seconds < 2 * _MINUTE:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / _MINUTE)} min" if seconds < 2 * _HOUR else f"{math.ceil(seconds / _HOUR)} h"


def _seconds(value: float) -> str:
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"
