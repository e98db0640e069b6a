"""The golden files beside this module; `python -m tests.render.golden` writes them anew (with `operator` on PYTHONPATH).

A changed file is a changed object in everybody's cluster: read the diff before committing it. A pod template that
changes here changes only revisions made from then on; revisions that exist keep theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.render.examples import EXAMPLES

FOLDER = Path(__file__).parent / "golden"


class _Dumper(yaml.SafeDumper):
    """Writes shared values out each time, instead of as anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the signature of yaml's
        return True


def text(example: dict[str, Any]) -> str:
    """An object as a golden file has it."""
    return str(yaml.dump(example, Dumper=_Dumper, sort_keys=False, width=120))


def write() -> None:
    """Writes all files, and removes those that no example has."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.yaml"):
        path.unlink()
    for name, example in EXAMPLES.items():
        (FOLDER / f"{name}.yaml").write_text(text(example))


if __name__ == "__main__":
    write()
