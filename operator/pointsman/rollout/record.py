"""The evidence of a running attempt: kept in memory between looks, written to its revision to resume from."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic_core import from_json, to_json

from pointsman.evidence import gate as gates
from pointsman.evidence.model import Calibration
from pointsman.rollout.thresholds import Standing
from pointsman.signals.ledger import Ledger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_due(saved: datetime, now: datetime, *, every: timedelta, name: str, rest: timedelta = timedelta()) -> bool:
    """Whether to write again what was written then: once in every such time, each name at a moment of its own.

    Hundreds that have begun together would else be written together, and the look with which they are would take twice as
    long. Where something was written less than `rest` before that moment, it is left out. The clock may have been set back since.
    """
    begin = _EPOCH + every * (zlib.crc32(name.encode()) / 2**32)
    return now < saved or (saved + rest - begin) // every < (now - begin) // every


@dataclass(frozen=True, kw_only=True)
class GateEvidence:
    """What one gate has seen so far.

    question  fingerprint of what is asked of Prometheus: another metric profile starts the counters anew
    replays   whether the inspector counts, which replays mirrored requests
    slices    of Agreement: the last counters of every slice, by its name
    outputs   of PredictionDrift: whose bins the ledger counts; others start it anew
    calibration  what stable's hour before says, frozen from the first answer on; None: not known yet
    ledger    the last cumulative counters of every pod
    state     the running evidence; None until a first look has shown where counting starts
    standing  of a Threshold gate, in place of calibration, ledger and state
    problem   why the last look told nothing; None: it did
    """

    question: str
    replays: bool = False
    outputs: str = ""
    calibration: Calibration | None = None
    ledger: Ledger = field(default_factory=Ledger)
    slices: Mapping[str, Ledger] = field(default_factory=dict)
    state: gates.State | None = None
    standing: Standing | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of one attempt of one revision. `step` is the policy's step whose own evidence runs, 0 before the first."""

    revision: str
    attempt: int
    step: int = 0
    looked_at: datetime | None = None
    saved_at: datetime | None = None
    gates: Mapping[str, GateEvidence] = field(default_factory=dict)

    def saved(self, at: datetime) -> Evidence:
        """The same, written to the revision at this time."""
        return replace(self, saved_at=at)

    def dump(self) -> str:
        """As JSON, for ModelRevision.status.evidence."""
        return to_json(
            {
                "attempt": self.attempt,
                "step": self.step,
                "gates": {
                    name: {
                        "question": gate.question,
                        "replays": gate.replays,
                        "outputs": gate.outputs,
                        "calibration": None if gate.calibration is None else gates.dumps_calibration(gate.calibration),
                        "ledger": gate.ledger.dump(),
                        "slices": {slice_: ledger.dump() for slice_, ledger in gate.slices.items()},
                        "state": None if gate.state is None else gates.dumps(gate.state),
                        "standing": None if gate.standing is None else gate.standing.dump(),
                    }
                    for name, gate in self.gates.items()
                },
            },
        ).decode()


def load(text: str, *, revision: str, looked_at: datetime | None) -> Evidence | None:
    """Evidence from ModelRevision.status.evidence; None where it cannot be read, so that the attempt counts anew."""
    try:
        data = from_json(text)
        return Evidence(
            revision=revision,
            attempt=data["attempt"],
            step=data["step"],
            looked_at=looked_at,
            saved_at=looked_at,
            gates={
                name: GateEvidence(
                    question=gate["question"],
                    replays=gate.get("replays", False),
                    outputs=gate.get("outputs", ""),
                    calibration=None if gate["calibration"] is None else gates.loads_calibration(gate["calibration"]),
                    ledger=Ledger.load(gate["ledger"]),
                    slices={slice_: Ledger.load(ledger) for slice_, ledger in gate.get("slices", {}).items()},
                    state=None if gate["state"] is None else gates.loads(gate["state"]),
                    standing=None if gate.get("standing") is None else Standing.load(gate["standing"]),
                )
                for name, gate in data["gates"].items()
            },
        )
    except (KeyError, TypeError, ValueError):
        return None
