"""The story: what is done to each version, and how it has to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hack.demo.models import TEXTURE

Outcome = Literal["Serving", "Promoted", "RolledBack", "Aborted"]


@dataclass(frozen=True)
class Chapter:
    """One version's part.

    Attributes:
        version: the version that is applied.
        title: what happens, in one line.
        outcome: how it has to end.
        gate: the gate that has to decide; empty where none may.
        reason: the reason that has to stand in the history; empty where any will do.
        policy: the RolloutPolicy that it is rolled out by.
        drifts: what the operator has to say has drifted before the version comes; empty: nothing does.
        unseen: whether no request of a user may have reached it.
        patience: seconds after which the demo gives up on it.
    """

    version: str
    title: str
    outcome: Outcome
    gate: str = ""
    reason: str = ""
    policy: str = "demo"
    unseen: bool = False
    drifts: str = ""
    patience: float = 180


STORY = (
    Chapter("v1", "serves as soon as it is ready", "Serving"),
    Chapter("v2", "better: takes over by steps", "Promoted", patience=360),
    Chapter("v3", "slow: is taken back", "RolledBack", gate="latency"),
    Chapter("v4", "fails on some rows: is taken back", "RolledBack", gate="errors"),
    Chapter("v5", "cannot start: never gets a request", "RolledBack", reason="CandidateUnavailable", unseen=True),
    Chapter("v6", "is aborted while Prometheus is down", "Aborted"),
    Chapter(
        "v7",
        "answers quickly, never fails, and wrongly: no user sees it",
        "RolledBack",
        gate="answers",
        policy="demo-careful",
        unseen=True,
    ),
    Chapter(
        "v8", "the same answers: copies, a share, everything; then it is watched", "Promoted", policy="demo-careful"
    ),
    Chapter(
        "v9",
        "comes while the world changes, and is not blamed",
        "Promoted",
        policy="demo-careful",
        drifts=f"/inputs/0/data/{TEXTURE}",
    ),
)
