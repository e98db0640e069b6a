"""One rollout as a tree: where it stands, both arms, the steps, the gates with their counts, and what a person can do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pointsman.api import conditions as c
from pointsman.api.modeldeployment import ArmStatus
from pointsman.api.modelrevision import GateRecord
from pointsman.cli import asking, saying
from pointsman.cli.model import Model

_TROUBLE = {(c.ACCEPTED, "False"), (c.READY, "False"), (c.OBSERVED, "False"), (c.PAUSED, "True"), (c.DRIFTED, "True")}
"""Conditions that are said where they are so; the others say what the tree says anyway."""


def tree(model: Model, *, now: datetime, program: str) -> Tree:
    """The tree of a rollout.

    Args:
        model: the ModelDeployment with its revisions.
        now: waits and ages are counted up to it.
        program: how the person called us: `pointsman` or `kubectl pointsman`.
    """
    head = Text.assemble((model.name, "bold"), f"  namespace {model.namespace}")
    if model.status.url:
        head.append(f"  {model.status.url}", "blue")
    root = Tree(head, guide_style="dim")
    if not model.status.conditions:
        root.add(Text("no operator has looked at it yet: is one running, and does it serve this namespace?", "yellow"))
        return root
    root.add(_standing(model, now))
    root.add(_arms(model, now))
    if model.attempt is not None and model.running is not None:
        _add(root, "steps", _steps(model, now))
        _add(root, _gates_head(model, now), _gates(model))
    _add(root, "conditions", _conditions(model, now))
    _add(root, "you can", _possible(model, program))
    return root


def document(model: Model) -> dict[str, Any]:
    """The same as data, in the words of the API; what there is none of is absent."""
    status, attempt = model.status, model.attempt
    steps = [] if attempt is None else attempt.policy.steps or []
    reached = 0 if status.rollout is None else status.rollout.step
    candidate = model.revisions.get(status.candidate.revision) if status.candidate is not None else None
    found: dict[str, Any] = {
        "namespace": model.namespace,
        "name": model.name,
        "version": model.spec.model.version,
        **{
            name: value
            for name, value in status.dump().items()
            if name in ("url", "stable", "candidate", "previous", "previousUntil", "rollout")
        },
        "steps": [
            {"number": number, "state": _state(number, reached), **step.dump()} for number, step in enumerate(steps, 1)
        ],
        "gates": [] if attempt is None else [gate.dump() for gate in attempt.gates],
        "conditions": [condition.dump() for condition in status.conditions],
        "actions": [
            {"name": asked.verb, "annotation": asked.key, "value": asked.value, "kubectl": asked.kubectl(model)}
            for asked in asking.possible(model)
        ],
    }
    if candidate is not None and candidate.status.looked_at is not None:
        found["lookedAt"] = candidate.status.dump()["lookedAt"]
    return found


def _add(root: Tree, head: str | Text, lines: Iterator[Text]) -> None:
    found = list(lines)
    if found:
        branch = root.add(head)
        for line in found:
            branch.add(line)


def _standing(model: Model, now: datetime) -> Text:
    """Where the rollout is, and why it does not go on."""
    up, rollout, attempt = model.condition(c.UP_TO_DATE), model.status.rollout, model.attempt
    if rollout is None:
        if up is None:
            return Text("nothing is known yet")
        style = "green" if up.status == "True" else "yellow"
        return Text.assemble((up.reason, style), f": {up.message}" if up.message else "")
    steps = [] if attempt is None else attempt.policy.steps or []
    where = f", step {rollout.step} of {len(steps)}" if rollout.step and steps else ""
    return Text.assemble(
        (rollout.phase, "bold yellow" if rollout.phase == "RollingBack" else "bold cyan"),
        f" at {rollout.percent} %{where}, for {saying.age(rollout.step_started_at or rollout.started_at, now)}",
        _deadline(model, now),
        f"\n{rollout.message}" if rollout.message else "",
    )


def _deadline(model: Model, now: datetime) -> str:
    rollout, attempt = model.status.rollout, model.attempt
    if rollout is None or rollout.deadline_at is None or rollout.phase == "RollingBack":
        return ""
    if rollout.clock_stopped_at is not None:
        return "; the deadline stands still"
    left = rollout.deadline_at - now
    if left.total_seconds() >= 0:
        return f"; {saying.lasting(left)} to the deadline"
    return "; the deadline is over" + ("" if attempt is None else f", whenUndecided is {attempt.policy.when_undecided}")


def _arms(model: Model, now: datetime) -> Table:
    status = model.status
    view = Table.grid(padding=(0, 3, 0, 0))
    share = 0 if status.rollout is None else float(status.rollout.percent)
    mirrored = 0 if status.rollout is None else float(status.rollout.shadow_percent)
    if status.stable is not None:
        view.add_row(*_arm("stable", status.stable, f"{100 - share:g} % of the requests"))
    if status.candidate is not None:
        said = f"{share:g} % of the requests" + (f", {mirrored:g} % mirrored" if mirrored else "")
        number = "" if status.rollout is None else f", attempt {status.rollout.attempt}"
        view.add_row(*_arm("candidate", status.candidate, said, number))
    if status.previous is not None:
        left = "" if status.previous_until is None else f"kept for {saying.lasting(status.previous_until - now)}"
        view.add_row(*_arm("previous", status.previous, left))
    if not view.row_count:
        view.add_row("nothing serves yet")
    return view


def _arm(name: str, arm: ArmStatus, share: str, more: str = "") -> tuple[Text | str, ...]:
    ready = Text(saying.pods(arm), "green" if arm.replicas == arm.ready_replicas else "yellow")
    return name, Text(f"version {arm.version}", "bold"), ready, share, Text(f"{arm.revision}{more}", "dim")


def _steps(model: Model, now: datetime) -> Iterator[Text]:
    attempt, rollout = model.attempt, model.status.rollout
    if attempt is None or rollout is None:
        return
    for number, step in enumerate(attempt.policy.steps or (), 1):
        state = _state(number, rollout.step)
        said = f"{number}. {saying.step(step)}"
        if state == "Done":
            yield Text(f"✓ {said}", "green")
        elif state == "Waiting" or rollout.phase == "Promoting":
            yield Text(f"  {said}", "dim")
        else:
            held = "" if rollout.hold_started_at is None else f": for {saying.age(rollout.hold_started_at, now)} so far"
            yield Text(f"▸ {said}{held}", "bold")


def _state(number: int, reached: int) -> str:
    return "Done" if number < reached else "Current" if number == reached else "Waiting"


def _gates_head(model: Model, now: datetime) -> Text:
    arm = model.status.candidate
    known = None if arm is None else model.revisions.get(arm.revision)
    looked = None if known is None else known.status.looked_at
    return Text("gates" + ("" if looked is None else f", as of {saying.age(looked, now)} ago"))


def _gates(model: Model) -> Iterator[Text]:
    attempt = model.attempt
    if attempt is None:
        return
    known = {gate.name: gate for gate in attempt.gates}
    for gate in attempt.policy.gates or ():
        optional = "" if gate.required is not False else " (not required)"
        record = known.get(gate.name)
        if record is None:
            yield Text.assemble((gate.name, "bold"), f"{optional}: {gate.signal}: no look yet")
        else:
            yield gate_line(record, optional)


def gate_line(gate: GateRecord, optional: str = "") -> Text:
    """A gate's own sentence, which has counts, estimate, interval and what is still needed; its verdict in colour."""
    rest = gate.message.removeprefix(f"{gate.name}: {gate.verdict}")
    return Text.assemble((gate.name, "bold"), optional, ": ", (gate.verdict, saying.VERDICTS[gate.verdict]), rest)


def _conditions(model: Model, now: datetime) -> Iterator[Text]:
    for condition in model.status.conditions:
        if (condition.type, condition.status) in _TROUBLE:
            since = saying.age(condition.last_transition_time, now)
            head = f"{condition.type}={condition.status}, {condition.reason}, for {since}"
            yield Text.assemble((head, "red"), f": {condition.message}" if condition.message else "")


def _possible(model: Model, program: str) -> Iterator[Text]:
    for asked in asking.possible(model):
        yield Text.assemble((f"{program} {asked.verb} {model.name} -n {model.namespace}", "bold"), f"  {asked.about}")
