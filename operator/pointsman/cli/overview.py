"""All rollouts, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from pointsman.api import conditions as c
from pointsman.cli import saying
from pointsman.cli.model import Model

_STATES = {"UpToDate": "green", "RolledBack": "red", "NotAccepted": "red", "Undecided": "yellow"}
_READY = {"True": "green", "False": "red"}


def table(models: Iterable[Model], *, now: datetime, namespaces: bool) -> Table:
    """A line a ModelDeployment, as wide as it has to be.

    Args:
        models: what is shown, in the order of the lines.
        now: ages are counted up to it.
        namespaces: whether each line says its namespace.
    """
    view = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="")
    heads = ("NAME", "VERSION", "CANDIDATE", "PERCENT", "PHASE", "STEP", "READY", "STATE", "AGE")
    for head in ("NAMESPACE", *heads) if namespaces else heads:
        view.add_column(head, no_wrap=True)
    for model in models:
        row = line(model)
        cells = [
            row["name"],
            row.get("version", ""),
            row.get("candidate", ""),
            str(row.get("percent", "")),
            row.get("phase", ""),
            str(row.get("step", "")),
            Text(row["ready"], _READY.get(row["ready"], "")),
            Text(row["state"], _STATES.get(row["state"], "")),
            saying.age(model.created_at, now),
        ]
        view.add_row(*([row["namespace"], *cells] if namespaces else cells))
    return view


def line(model: Model) -> dict[str, Any]:
    """The same as data; what there is none of is absent."""
    status, rollout = model.status, model.status.rollout
    up, ready = model.condition(c.UP_TO_DATE), model.condition(c.READY)
    accepted = model.condition(c.ACCEPTED)
    refused = accepted is not None and accepted.status == "False"
    found = {
        "namespace": model.namespace,
        "name": model.name,
        "version": None if status.stable is None else status.stable.version,
        "candidate": None if status.candidate is None else status.candidate.version,
        "percent": None if rollout is None else rollout.percent,
        "phase": None if rollout is None else rollout.phase,
        "step": rollout.step if rollout is not None and rollout.step else None,
        "ready": "Unknown" if ready is None else ready.status,
        "state": "NotAccepted" if refused else "Unknown" if up is None else up.reason,
        "message": accepted.message if accepted is not None and refused else None if up is None else up.message,
        "createdAt": model.created_at.isoformat().replace("+00:00", "Z"),
    }
    return {name: value for name, value in found.items() if value is not None}
