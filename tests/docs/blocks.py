"""The blocks of YAML and the commands in the documentation, each with the place it stands at."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(
    sorted(
        file
        for pattern in ("*.md", "docs/*.md", "charts/pointsman/README.md", "hack/cluster/README.md", "examples/**/*.md")
        for file in ROOT.glob(pattern)
    )
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`]*)$")
# What a command begins with; other indented blocks are output, trees and drawings.
PROGRAMS = (
    "pointsman",
    "kubectl",
    "make",
    "helm",
    "pip",
    "git",
    "argocd",
    "flux",
    "curl",
    "eval",
    "python",
    "promtool",
    "docker",
    "export",
)
_COMMAND = re.compile(rf"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:{'|'.join(PROGRAMS)})(?: |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block, or an indented one, whose info is empty.

    Attributes:
        info: what stands after the three backticks.
        place: file and line, for messages.
    """

    info: str
    text: str
    place: str

    @property
    def language(self) -> str:
        """The first word of the info string."""
        return self.info.split(" ", 1)[0]

    @property
    def about(self) -> str:
        """The rest of it: of YAML, what it is a part of."""
        return self.info.partition(" ")[2].strip()


@dataclass(frozen=True)
class Command:
    """A command line, continuation lines joined, comment and prompt taken off."""

    line: str
    place: str

    @property
    def words(self) -> list[str]:
        """As the shell splits it."""
        return shlex.split(self.line, comments=True)


def blocks() -> list[Block]:
    """All blocks of all documents."""
    return [
        block for document in DOCUMENTS for block in blocks_of(document.read_text(encoding="utf-8"), _name(document))
    ]


def blocks_of(text: str, name: str) -> Iterator[Block]:
    """Of one document."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence:
            end = next((it for it in range(number + 1, len(lines)) if lines[it].strip() == "```"), len(lines))
            inside = [line[len(fence["indent"]) :] for line in lines[number + 1 : end]]
            yield Block(fence["info"].strip(), "\n".join(inside) + "\n", f"{name}:{number + 1}")
            number = end + 1
        elif lines[number].startswith("    ") and (number == 0 or not lines[number - 1].strip()):
            end = next((it for it in range(number, len(lines)) if not _goes_on(lines, it)), len(lines))
            yield Block("", "\n".join(line.strip() for line in lines[number:end]) + "\n", f"{name}:{number + 1}")
            number = end
        else:
            number += 1


def commands() -> list[Command]:
    """Every different command, where it stands first."""
    found: dict[str, Command] = {}
    for block in blocks():
        if block.language in ("", "sh", "console"):
            for command in commands_of(block):
                found.setdefault(command.line, command)
    return list(found.values())


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a block: all lines of `sh`, those after `$` where there is one, else those that begin with a program."""
    joined = block.text.replace("\\\n", " ")
    lines = [re.sub(r"\s+", " ", line.strip()) for line in joined.splitlines()]
    prompted = any(line.startswith("$ ") for line in lines)
    for line in lines:
        if prompted and not line.startswith("$ "):
            continue
        if block.language == "sh" or _COMMAND.match(line):
            bare = shlex_without_comment(line.removeprefix("$ "))
            if bare:
                yield Command(bare, block.place)


def shlex_without_comment(line: str) -> str:
    """The line up to ` # ...`."""
    return re.split(r"(?:^|\s+)#\s", line, maxsplit=1)[0].strip()


def _goes_on(lines: list[str], number: int) -> bool:
    if lines[number].startswith("    "):
        return True
    following = next((line for line in lines[number:] if line.strip()), "")
    return not lines[number].strip() and following.startswith("    ")


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))
