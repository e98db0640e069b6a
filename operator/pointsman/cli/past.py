"""How the attempts of a model ended, the newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from pointsman.cli import saying
from pointsman.cli.model import Model


def table(model: Model, *, now: datetime) -> Table:
    """A line an attempt: its version, how it ended, and the sentence that says why."""
    view = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="")
    for head in ("AGE", "VERSION", "REVISION", "ATTEMPT", "OUTCOME", "REASON"):
        view.add_column(head, no_wrap=True)
    view.add_column("MESSAGE")
    for entry in model.status.history:
        view.add_row(
            saying.age(entry.at, now),
            entry.version,
            entry.revision,
            str(entry.attempt),
            Text(entry.outcome, saying.OUTCOMES[entry.outcome]),
            entry.reason if entry.gate is None else f"{entry.reason}: {entry.gate}",
            entry.message,
        )
    return view


def document(model: Model) -> dict[str, Any]:
    """The same as data."""
    return {
        "namespace": model.namespace,
        "name": model.name,
        "history": [entry.dump() for entry in model.status.history],
    }
