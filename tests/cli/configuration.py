"""The table in docs/configuration.md, made from the command's own options: `python -m tests.cli.configuration` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pointsman.cli.command import app

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- options: made by `make generate` -->\n\n", "\n<!-- /options -->"


def table() -> str:
    """A line an option: flag, environment variable, default, meaning."""
    return "\n".join(("| flag | environment | default | |", "|---|---|---|---|", *_rows())) + "\n"


def written(text: str) -> str:
    """The document with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def _rows() -> Iterator[str]:
    group: Any = typer.main.get_command(app)  # its types are those of the click that typer carries along
    for option in group.commands["operator"].params:
        if option.name == "help":
            continue
        default = "" if option.default in (None, "") else f"`{option.default}`"
        yield f"| `{option.opts[0]}` | `{option.envvar}` | {default} | {option.help} |"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
