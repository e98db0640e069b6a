"""The list of commands and options in docs/cli.md, made from the commands themselves: `python -m tests.cli.reference` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pointsman.cli.command import app
from tests.cli.views import GOLDEN

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: made by `make generate` -->\n\n", "\n<!-- /commands -->"
ELSEWHERE = {
    "operator": "configuration.md",
    "inspector": "inspector.md",
    "replay": "replay.md",
    "simulate": "simulate.md",
    "reference": "drift.md",
}
"""Commands that have a page of their own."""


def listing() -> str:
    """A section a command: what it does, its arguments and options."""
    return "\n".join(_listing())


def written(text: str) -> str:
    """The document with the list as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    whole = before + BEGIN + listing() + END + after
    for name in ("status-canary.txt", "explain-rolled-back.txt"):
        whole = _pictured(whole, name)
    return whole


def _pictured(text: str, name: str) -> str:
    """With what the command prints, as it is tested, behind the comment that names the file."""
    begin = f"<!-- {name} -->\n```text\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition("```")
    return before + begin + (GOLDEN / name).read_text(encoding="utf-8") + "```" + after


def _listing() -> Iterator[str]:
    group: Any = typer.main.get_command(app)  # its types are those of the click that typer carries along
    for name, command in group.commands.items():
        if name in ELSEWHERE or command.hidden:
            continue
        yield f"### pointsman {name}\n"
        yield f"{command.help}\n"
        yield "| | |\n|---|---|"
        for option in command.params:
            if option.name != "help":
                yield _row(option)
        yield f"\n{command.epilog}\n"
    yield "### The others\n"
    for name, page in ELSEWHERE.items():
        yield f"- `pointsman {name}`: [{page}]({page})"


def _row(option: Any) -> str:
    names = (
        ", ".join(f"`{word}`" for word in (*option.opts, *option.secondary_opts)) if option.opts[0][0] == "-" else ""
    )
    default = "" if option.default in (None, "", False) or option.required else f" Default: `{option.default}`."
    variable = f" Environment: `{option.envvar}`." if option.envvar else ""
    return f"| {names or f'`{option.metavar}`'} | {option.help}{default}{variable} |"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
