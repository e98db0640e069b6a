"""Whatever was counted can be replayed: recordings that are read never fail later, and say nothing that is not a number."""

from __future__ import annotations

import math
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.cli import profile
from pointsman.replay.playback import kinds, play
from pointsman.replay.recording import read
from pointsman.rollout import policy as policies

HEADER = "time,arm,pod,gate,le,value\n"
POLICY = policies.resolve(
    policies.effective(
        RolloutPolicySpec.model_validate(
            {
                "steps": [{"canary": {"percent": 5}, "hold": "10s"}, {"canary": {"percent": 50}, "hold": "10s"}],
                "gates": [{"name": "errors", "signal": "Errors"}, {"name": "latency", "signal": "Latency"}],
                "deadline": "1m",
                "warmup": {"requests": 1},
            }
        ),
        None,
        profile.MEASURED,
    )
)
COUNT = st.integers(0, 30) | st.sampled_from([0, 10**3, 10**6, 2**53])
TIMES = st.lists(
    st.integers(0, 12).map(lambda look: 10.0 * look)
    | st.floats(-1e6, 1e6).map(lambda time: round(time, 3))
    | st.sampled_from([1e11, -6e10]),
    min_size=1,
    max_size=8,
    unique_by=lambda time: time + 0.0,
)
EDGES = ("0.05", "0.1", "1", "+Inf")


@st.composite
def recordings(draw: st.DrawFn) -> str:
    rows: dict[tuple[float, str, str, str], dict[str, int]] = {}
    for time in draw(TIMES):
        for arm in ("stable", "candidate"):
            for pod in draw(st.sets(st.sampled_from(["a", "b"]))):
                if draw(st.booleans()):
                    total = draw(COUNT)
                    rows[time, arm, pod, "errors"] = {"total": total, "bad": min(total, draw(COUNT))}
                if draw(st.booleans()):
                    cells = [min(2**51, count) for count in draw(st.tuples(COUNT, COUNT, COUNT, COUNT))]
                    rows[time, arm, pod, "latency"] = dict(zip(EDGES, accumulate(cells), strict=True))
    rows.setdefault((0.0, "candidate", "c", "errors"), {"total": 0})
    return HEADER + "\n".join(
        f"{time!r},{arm},{pod},{gate},{le},{value}"
        for (time, arm, pod, gate), cells in rows.items()
        for le, value in cells.items()
    )


@settings(max_examples=150)
@given(text=recordings())
def test_every_recording_can_be_replayed(text: str) -> None:
    looks = list(play(read(text, kinds(POLICY.gates)), POLICY))
    assert looks
    for look in looks:
        for weighed in look.balance.gates:
            if weighed.proof is not None:
                assert not math.isnan(weighed.proof.log_harm)
                assert not math.isnan(weighed.proof.log_safe)
