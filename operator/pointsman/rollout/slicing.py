"""The slices of an Agreement gate: what each counted since the last look, of no more slices than the gate may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pointsman.api.gates import Slices
from pointsman.rollout.policy import DEFAULT_SLICES
from pointsman.signals import ledger as ledgers
from pointsman.signals.ledger import Ledger
from pointsman.signals.reading import ArmCounts, Counts, Faulty

_NONE_AND_OTHER = 2  # requests without what they are told apart by, and those of slices met later


def named(asked: Slices | None) -> int:
    """How many slices the evidence tells apart, beside `other`; 0 where none are asked for."""
    return 0 if asked is None else _most(asked) - 1


def fold(
    slices: Mapping[str, Ledger], counts: Counts, *, known: Ledger, asked: Slices | None, at: datetime
) -> tuple[Mapping[str, Ledger], Mapping[str, tuple[int, int]]]:
    """One look more.

    Args:
        slices: the ledgers so far.
        counts: the look; all requests are in its arms, those of slices beside them.
        known: the ledger of all requests before this look: a slice that was not there then had counted nothing.
        asked: what the gate asks for.
        at: the look's time.

    Returns:
        The ledgers, and what was compared and disagreed in each slice. An inspector that starts anew may name others: the
        ledgers do not become more for that, and what is of none of them counts among all requests alone.
    """
    if asked is None:
        return slices, {}
    after, found = dict(slices), {}
    nobody = ArmCounts(pods={}, newest=at)
    for name, arm in counts.slices.items():
        before = slices.get(name)
        if before is None and len(after) >= _most(asked):
            continue
        if before is None:
            before = replace(known, stable={}, candidate={})
        look = Counts(edges=(), stable=nobody, candidate=arm, newcomers="FromZero")
        after[name], increments = ledgers.fold(before, look, at=at, warmup=0)
        if not isinstance(increments, Faulty):
            found[name] = (increments.candidate.requests, increments.candidate.failed)
    return after, found


def _most(asked: Slices) -> int:
    return (asked.max or DEFAULT_SLICES) + _NONE_AND_OTHER
