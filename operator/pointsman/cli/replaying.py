"""`pointsman replay`: what a policy decides over recorded counters, one line a look."""

from __future__ import annotations

import gc
import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from pointsman.api.gates import SERVING_SIGNALS
from pointsman.api.modelruntime import Metrics
from pointsman.api.values import percent
from pointsman.cli import profile
from pointsman.cli.faults import InputError
from pointsman.cli.outputs import Extent, Output
from pointsman.cli.policyfile import PolicyFile, load
from pointsman.cli.terminal import Terminal
from pointsman.replay import playback, recording
from pointsman.replay.playback import Look
from pointsman.rollout import wording
from pointsman.rollout.policy import Policy
from pointsman.rollout.weighing import Weighed

_STYLES = {
    "Harm": "bold red",
    "Safe": "green",
    "Undecided": "yellow",
    "NoData": "magenta",
    "Unanswerable": "magenta",
    "Rollback": "bold red",
    "Promote": "bold green",
    "Hold": "bold yellow",
}


def run(policy_path: str, counts_path: str, *, output: Output, extent: Extent) -> None:
    """Print every look's verdicts.

    Raises:
        InputError: a file cannot be used.
    """
    if policy_path == counts_path == "-":
        raise InputError("standard input can be read once: give POLICY or COUNTS.csv as a file")
    file = load(policy_path)
    gc.disable()  # a recording is a million small objects that all stay
    policy, tape = _opened(file, counts_path)
    gc.freeze()
    gc.enable()
    looks = _extent(playback.play(tape, policy), extent)
    if output is Output.JSON:
        for look in looks:
            sys.stdout.write(_json(look))
        return
    _print(file, policy, tape, looks)


def _opened(file: PolicyFile, path: str) -> tuple[Policy, recording.Recording]:
    """The policy, and the recording of its gates; default gates are those that were recorded."""
    policy = _policy(file, profile.MEASURED)
    text = _text(path)
    source = "standard input" if path == "-" else path
    try:
        tape = recording.read(text, playback.kinds(policy.gates))
    except recording.RecordingError as error:
        raise InputError(f"{source}:{error}") from error
    bare = _policy(file, profile.COUNTED)
    return (policy if {gate.name for gate in policy.gates} <= set(tape.tracks) else bare), tape


def _policy(file: PolicyFile, metrics: Metrics) -> Policy:
    policy = file.policy(metrics, replicas=file.replicas or 100)
    if not policy.gates:
        raise InputError(
            f"{file.source}: this policy has no gates: there is nothing to compare; add a canary step or `gates`"
        )
    return file.offline(policy, signals=(*SERVING_SIGNALS, "Events"), done="recorded")


def _text(path: str) -> str:
    source = "standard input" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{source}: cannot be read: {reason}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}:{line}: this is not UTF-8 text: write the counters as CSV") from error


def _extent(looks: Iterator[Look], extent: Extent) -> Iterator[Look]:
    before: tuple[object, ...] | None = None
    for look in looks:
        now = (look.decision, look.step, *(gate.verdict for gate in look.balance.gates))
        if extent is not Extent.CHANGES or now != before:
            yield look
        if look.decision != "Hold" and extent is not Extent.ALL:
            return
        before = now


def _json(look: Look) -> str:
    said = {"time": _plain(look.at), "decision": look.decision, "gates": [_gate(gate) for gate in look.balance.gates]}
    return json.dumps(said, separators=(",", ":"), allow_nan=False) + "\n"


def _gate(weighed: Weighed) -> dict[str, Any]:
    proof = weighed.proof
    interval = None if proof is None or proof.aside.interval is None else [_finite(end) for end in proof.aside.interval]
    return {
        "name": weighed.gate.name,
        "verdict": weighed.verdict,
        "logHarm": 0.0 if proof is None else _finite(proof.log_harm),
        "logSafe": 0.0 if proof is None else _finite(proof.log_safe),
        "estimate": None if proof is None or proof.aside.estimate is None else _finite(proof.aside.estimate),
        "interval": interval,
    }


def _finite(value: float) -> float | None:
    """A number that JSON has; rounded to what it is worth."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def _plain(seconds: float) -> float | int:
    return int(seconds) if seconds.is_integer() else seconds


def _print(file: PolicyFile, policy: Policy, tape: recording.Recording, looks: Iterable[Look]) -> None:
    console = Terminal(highlight=False, soft_wrap=True)
    for line in _headline(file, policy, tape):
        console.print(Text(line, style="dim"))
    last: Look | None = None
    for look in looks:
        if last is None:
            for line in _calibrations(look):
                console.print(Text(line, style="dim"))
        console.print(_line(look, tape))
        last = look
    if last is None:
        return
    console.print()
    if last.decision == "Hold":
        console.print(Text.assemble(("Hold", _STYLES["Hold"]), f" to the end of the recording: {last.message}"))
    else:
        console.print(Text.assemble((last.decision, _STYLES[last.decision]), f": {last.message}"))
    for said in (wording.explain(gate) for gate in last.balance.gates):
        if said not in last.message:
            console.print(Text(f"  {said}"))


def _headline(file: PolicyFile, policy: Policy, tape: recording.Recording) -> Iterator[str]:
    steps = ", ".join(f"{percent(stage.share)} %" for stage in policy.stages if stage.kind == "Canary")
    yield (
        f"{file.source}: steps {steps}; looks as recorded; deadline {_span(policy.deadline.total_seconds())};"
        f" false rollback {100 * policy.false_rollback:g} %, false promotion {100 * policy.false_promotion:g} %"
    )
    before = sum(time < tape.begins for time in tape.times)
    yield (
        f"{len(tape.times) - before} looks over {_span(tape.times[-1] - tape.begins)}, from {_plain(tape.begins)} on;"
        f" {before} times before it are stable's history; gates: {', '.join(tape.tracks)}"
    )


def _calibrations(look: Look) -> Iterator[str]:
    for weighed in look.balance.gates:
        known = weighed.calibration
        if known is None or weighed.problem is not None:
            continue
        noise = f"dispersion {float(known.noise.phi):.3g}, spread between pods {float(known.noise.tau):.3g}"
        if not known.requests:
            yield f"{weighed.gate.name}: no history of stable; assumed: {noise}"
            continue
        whence = "assumed, the history is short" if known.noise.assumed else "measured"
        yield (
            f"{weighed.gate.name}: stable's history: {_span(known.seconds)} of {int(known.pods)} pods,"
            f" {int(known.requests):,} requests; {noise} ({whence})"
        )


def _line(look: Look, tape: recording.Recording) -> Text:
    text = Text(f"{_span(look.elapsed):>9}  step {look.step} {percent(look.share):>5} %")
    for weighed in look.balance.gates:
        text.append(f"  {weighed.gate.name} ")
        text.append(f"{weighed.verdict:<9}", style=_STYLES[weighed.verdict])
        if weighed.problem is not None and weighed.gate.name not in tape.tracks:
            continue
        if weighed.proof is not None:
            text.append(f" {_numbers(weighed):<30}", style="dim")
    text.append("  ")
    text.append(look.decision, style=_STYLES[look.decision])
    return text


def _numbers(weighed: Weighed) -> str:
    proof = weighed.proof
    if proof is None or proof.aside.estimate is None:
        return ""
    said = f"{proof.aside.estimate:.3g}x"
    if proof.aside.interval is not None:
        low, high = proof.aside.interval
        said += f" [{low:.2g}, {high:.2g}]" if math.isfinite(high) else f" [{low:.2g}, -]"
    return f"{said} harm {proof.log_harm:.1f} safe {proof.log_safe:.1f}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
