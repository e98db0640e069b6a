"""`pointsman lint`: reads manifests, has them judged, and prints a line a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from pointsman.cli import documentfile, documents, judging
from pointsman.cli.documentfile import Document
from pointsman.cli.faults import InputError
from pointsman.cli.judging import Judgement, Surroundings
from pointsman.cli.mistakes import Mistake
from pointsman.cli.outputs import Shown


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with some files; `notes` is what was not checked, `judged` how many objects are ours."""

    mistakes: Sequence[Mistake]
    notes: Sequence[str]
    judged: int


def offline(paths: list[str], *, namespace: str) -> Verdict:
    """What the files alone tell.

    Raises:
        InputError: there is no file.
    """
    found, faults = read(paths)
    judged = judging.judge(found, Surroundings(), namespace=namespace or "default")
    return verdict(judged, faults)


def verdict(judged: Judgement, mistakes: Sequence[Mistake], notes: Sequence[str] = ()) -> Verdict:
    """A judgement with what else was found, in the order of the files' lines."""
    ordered = sorted((*mistakes, *judged.mistakes), key=lambda one: (one.source, one.line))
    return Verdict(mistakes=ordered, notes=[*judged.notes, *notes], judged=judged.judged)


def read(paths: list[str]) -> tuple[list[Document], list[Mistake]]:
    """The documents of all files, and what cannot be read of them.

    Raises:
        InputError: there is no file.
    """
    files = list(documentfile.files(paths))
    if not files:
        raise InputError(f"{', '.join(paths)}: there is no *.yaml, *.yml or *.json in it")
    found: list[Document] = []
    mistakes: list[Mistake] = []
    for file in files:
        for one in documentfile.read(file):
            if isinstance(one, Document):
                found.append(one)
            else:
                mistakes.append(Mistake(source=one.source, line=one.line, object="", path="", message=one.message))
    return found, mistakes


def say(found: Verdict, shown: Shown) -> int:
    """Print it; the exit code: 1 where there is a mistake."""
    if shown is not Shown.TEXT:
        data = {"mistakes": [one.dump() for one in found.mistakes], "notes": list(found.notes), "judged": found.judged}
        typer.echo(documents.written(data, shown))
        return 1 if found.mistakes else 0
    for mistake in found.mistakes:
        typer.echo(str(mistake))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    objects = "1 object" if found.judged == 1 else f"{found.judged} objects"
    number = len(found.mistakes)
    mistakes = "1 mistake" if number == 1 else f"{number or 'no'} mistakes"
    typer.echo(f"{objects} of Pointsman, {mistakes}", err=True)
    return 1 if found.mistakes else 0
