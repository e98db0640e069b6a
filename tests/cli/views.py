"""What the command line prints of rollouts, as files: `python -m tests.cli.views` writes them anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from pointsman.cli import documents, overview, past, story, tree
from pointsman.signals.queries import Labels
from tests.cli import rollouts as r

GOLDEN = Path(__file__).parent / "golden"

MODELS = (r.canary(), r.shadowed(), r.awaiting(), r.rolled_back(), r.kept(), r.refused(), r.unseen())

EVENTS: tuple[dict[str, Any], ...] = (
    {"eventTime": r.at("13:57:31"), "type": "Warning", "reason": "RolledBack", "note": "version 7: errors: Harm"},
    {"eventTime": r.at("13:45:01"), "type": "Normal", "reason": "RolloutStarted", "note": "version 7 is compared"},
    {"eventTime": r.at("13:50:00"), "type": "Warning", "reason": "NoData", "note": "no data", "series": {"count": 3}},
    {"eventTime": r.at("11:00:00"), "type": "Normal", "reason": "Promoted", "note": "version 6, long before"},
)


def views() -> Mapping[str, str]:
    """File name -> text."""
    trees = {
        f"status-{name}.txt": _text(tree.tree(model, now=r.NOW, program="pointsman"))
        for name, model in {
            "canary": r.canary(),
            "shadow-without-data": r.shadowed(),
            "awaiting-approval-paused": r.awaiting(),
            "rolled-back": r.rolled_back(),
            "previous-kept": r.kept(),
            "refused": r.refused(),
            "without-operator": r.unseen(),
        }.items()
    }
    explained = {
        name: story.story(model, EVENTS, revision="", labels=Labels(), gateway=None)
        for name, model in {"running": r.canary(), "rolled-back": r.rolled_back()}.items()
    }
    return {
        "get.txt": _text(overview.table(MODELS, now=r.NOW, namespaces=True)),
        "get.json": documents.as_json({"rollouts": [overview.line(one) for one in MODELS]}) + "\n",
        **trees,
        "status-canary.yaml": documents.as_yaml(tree.document(r.canary())) + "\n",
        "history.txt": _text(past.table(r.rolled_back(), now=r.NOW)),
        "history.yaml": documents.as_yaml(past.document(r.rolled_back())) + "\n",
        **{f"explain-{name}.txt": _text(story.tree(told, now=r.NOW)) for name, told in explained.items()},
        "explain-rolled-back.yaml": documents.as_yaml(story.document(explained["rolled-back"])) + "\n",
    }


def _text(view: RenderableType) -> str:
    """In the width of a document; without colours, as in a file."""
    console = Console(width=130, highlight=False, markup=False, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(view)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in views().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
