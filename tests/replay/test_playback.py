"""What a policy decides over a recording: the steps, the deadline, missing rows, restarts and rows that come late."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from pointsman.api.modelruntime import Metrics, RequestsMetric
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.replay.playback import Look, kinds, play
from pointsman.replay.recording import read
from pointsman.rollout import policy as policies

METRICS = Metrics(port=8080, requests=RequestsMetric(counter="n", failed={"code": "5.."}))
GATE = {"name": "errors", "signal": "Errors"}
STEP = {"canary": {"percent": 20}, "hold": "60s"}


def policy(**fields: object) -> policies.Policy:
    written = {"steps": [STEP], "gates": [GATE], "warmup": {"requests": 0}, **fields}
    return policies.resolve(policies.effective(RolloutPolicySpec.model_validate(written), None, METRICS))


@dataclass
class Tape:
    """Writes rows of `errors`; counters go on where they were."""

    rows: list[str] = field(default_factory=lambda: ["time,arm,pod,gate,le,value"])
    counted: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def look(self, time: float, *, arm: str, pod: str, requests: int, bad: int) -> None:
        total, failed = self.counted.get((arm, pod), (0, 0))
        self.counted[arm, pod] = (total + requests, failed + bad)
        self.rows += [
            f"{time},{arm},{pod},errors,{le},{value}"
            for le, value in (("total", total + requests), ("bad", failed + bad))
        ]

    def looks(self, of: policies.Policy) -> list[Look]:
        return list(play(read("\n".join(self.rows), kinds(of.gates)), of))


def tape(*, looks: int, candidate_bad: int, start: int = 0, lag: float = 0.0, history: int = 0) -> Tape:
    """Every 10 s 800 requests to stable, 8 of which fail, and 200 to the candidate."""
    written = Tape()
    for index in range(-history, looks + 1):
        written.look(start + 10 * index, arm="stable", pod="s", requests=800, bad=8)
        if index >= 0:
            written.look(start + 10 * index + lag, arm="candidate", pod="c", requests=200, bad=candidate_bad)
    return written


def decisions(looks: list[Look]) -> str:
    """`HHHPP`: the initials."""
    return "".join(look.decision[0] for look in looks)


@pytest.mark.parametrize("start", [0, -3000, 1_700_000_000])
def test_an_equal_version_is_promoted_after_its_hold_when_it_is_proven_safe(start: int) -> None:
    looks = tape(looks=120, candidate_bad=2, start=start).looks(policy())
    (promoted,) = {look.at for look in looks if look.decision == "Promote"} & {
        look.at for before, look in pairwise(looks) if before.decision == "Hold"
    }
    assert promoted - start >= 60
    at = next(look for look in looks if look.at == promoted)
    assert at.balance.safe
    assert at.message.startswith("errors: Safe: ")
    assert decisions(looks).strip("HP") == ""
    assert len(looks) == 121


def test_harm_rolls_back_within_the_hold_and_the_decision_is_final() -> None:
    looks = tape(looks=30, candidate_bad=40).looks(policy())
    decided = next(look for look in looks if look.decision != "Hold")
    assert decided.decision == "Rollback"
    assert decided.elapsed <= 30
    assert decided.message.startswith("errors: Harm: ")
    assert decisions(looks).endswith("R" * 27)


def test_recorded_events_prove_what_failures_do() -> None:
    """A gate of another name and kind, the same rows: harm at the same look, at the error rate of one gate alone."""
    events = {"bad": "refunds_total", "total": "orders_total", "arm": {"label": "model_version", "is": "Version"}}
    refunds = policy(gates=[{"name": "errors", "signal": "Events", "events": events}])
    for bad in (2, 40):
        of_events = tape(looks=60, candidate_bad=bad, history=60).looks(refunds)
        of_failures = tape(looks=60, candidate_bad=bad, history=60).looks(policy())
        assert decisions(of_events)[-1] == decisions(of_failures)[-1] == ("P" if bad == 2 else "R")
        last, other = of_events[-1].balance.gates[0].proof, of_failures[-1].balance.gates[0].proof
        assert last is not None
        assert other is not None
        assert last.counts == other.counts


def test_safety_starts_anew_at_every_step() -> None:
    steps = [{"canary": {"percent": share}, "hold": "60s"} for share in (5, 20)]
    looks = tape(looks=200, candidate_bad=2).looks(policy(steps=steps))
    entered = next(look for look in looks if look.step == 2)
    assert entered.message == "step 2 of 2 begins: canary at 20 %"
    after = looks[looks.index(entered) + 1]
    assert after.balance.gates[0].proof is not None
    assert after.balance.gates[0].proof.step_counts.candidate_requests == 200
    assert looks[-1].decision == "Promote"


def test_approvals_are_taken_as_given() -> None:
    asked = tape(looks=120, candidate_bad=2).looks(policy(steps=[{"approval": {}}, STEP, {"approval": {}}]))
    assert decisions(asked) == decisions(tape(looks=120, candidate_bad=2).looks(policy()))


@pytest.mark.parametrize(
    ("ruling", "said", "message"),
    [
        ("Hold", "H", "no verdict within the deadline, and whenUndecided is Hold; holding: errors is Undecided"),
        ("Rollback", "R", "no verdict within the deadline, and whenUndecided is Rollback: errors: Undecided: "),
        ("Promote", "P", "no verdict within the deadline, and whenUndecided is Promote: errors: Undecided: "),
    ],
)
def test_at_the_deadline_when_undecided_rules(ruling: str, said: str, message: str) -> None:
    gate = {**GATE, "tolerance": {"ratio": "1.01"}}
    looks = tape(looks=15, candidate_bad=2).looks(policy(gates=[gate], deadline="100s", whenUndecided=ruling))
    assert decisions(looks) == "H" * 10 + said * 6
    assert looks[10].message.startswith(message)


def test_a_gate_without_rows_is_no_data_and_promotes_nothing() -> None:
    gates = [GATE, {"name": "slow", "signal": "Latency"}]
    looks = tape(looks=120, candidate_bad=2).looks(policy(gates=gates, deadline="100s", whenUndecided="Promote"))
    assert decisions(looks) == "H" * 121
    assert looks[-1].message == "waiting for data: slow: the recording has no row of this gate"


def counted(looks: list[Look]) -> tuple[int, int]:
    """Requests of the candidate and of stable that became evidence."""
    proof = looks[-1].balance.gates[0].proof
    assert proof is not None
    return proof.counts.candidate_requests, proof.counts.stable_requests


def test_the_first_look_and_what_was_before_it_are_no_evidence() -> None:
    assert counted(tape(looks=6, candidate_bad=2, history=30).looks(policy())) == (6 * 200, 6 * 800)


def test_rows_of_the_arms_at_different_times_count_once_when_both_have_moved() -> None:
    looks = tape(looks=6, candidate_bad=2, lag=0.7).looks(policy())
    assert len(looks) == 13
    assert counted(looks) == (6 * 200, 6 * 800)
    assert [gate.verdict for look in looks for gate in look.balance.gates] == ["Undecided"] * 13


def test_the_order_of_rows_does_not_matter() -> None:
    sorted_, reverse = tape(looks=60, candidate_bad=3), tape(looks=60, candidate_bad=3)
    reverse.rows[1:] = reversed(reverse.rows[1:])
    assert [replace(look, message="") for look in sorted_.looks(policy())] == [
        replace(look, message="") for look in reverse.looks(policy())
    ]


def test_a_counter_that_falls_counts_nothing_until_it_has_passed_where_it_was() -> None:
    """Without a process start nobody knows whether it restarted: every request once or not at all."""
    written = tape(looks=6, candidate_bad=2)
    written.counted["candidate", "c"] = (0, 0)
    for index in range(7, 20):
        written.look(10 * index, arm="stable", pod="s", requests=800, bad=8)
        written.look(10 * index, arm="candidate", pod="c", requests=200, bad=2)
    assert counted(written.looks(policy()))[0] == 6 * 200 + (13 * 200 - 7 * 200)


def test_a_recorded_process_start_makes_it_count_at_once() -> None:
    written = tape(looks=6, candidate_bad=2)
    written.rows += [f"{10 * index},candidate,c,errors,started,-500" for index in range(7)]
    written.counted["candidate", "c"] = (0, 0)
    for index in range(7, 20):
        written.look(10 * index, arm="stable", pod="s", requests=800, bad=8)
        written.look(10 * index, arm="candidate", pod="c", requests=200, bad=2)
        written.rows.append(f"{10 * index},candidate,c,errors,started,65")
    assert counted(written.looks(policy()))[0] == (6 + 13) * 200


def test_a_pod_that_comes_later_is_counted_from_its_first_row_on() -> None:
    written = tape(looks=6, candidate_bad=2)
    for index in range(3, 7):
        written.look(10 * index, arm="candidate", pod="late", requests=100, bad=1)
    assert counted(written.looks(policy()))[0] == 6 * 200 + 3 * 100


def test_an_arm_that_falls_silent_is_no_data_and_loses_nothing() -> None:
    written = tape(looks=6, candidate_bad=2)
    for index in range(7, 20):
        written.look(10 * index, arm="stable", pod="s", requests=800, bad=8)
    silent = written.looks(policy())
    assert [look.balance.gates[0].verdict for look in silent[12:]] == ["Undecided"] + ["NoData"] * 7
    written.look(200, arm="stable", pod="s", requests=800, bad=8)
    written.look(200, arm="candidate", pod="c", requests=14 * 200, bad=28)
    assert counted(written.looks(policy())) == (20 * 200, 20 * 800)
