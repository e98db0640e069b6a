"""`pointsman get`, `status`, `history` and `explain`: reads the cluster and prints what the views make of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import RenderableType
from rich.live import Live

from pointsman.cli import documents, overview, past, story, tree
from pointsman.cli.faults import CommandError
from pointsman.cli.model import Model
from pointsman.cli.outputs import Shown
from pointsman.cli.place import Place
from pointsman.cli.session import Session, run
from pointsman.cli.terminal import Terminal, unfolded
from pointsman.signals.queries import Labels

_SHELL_WAITS = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How the operator of this cluster was told to find the models' metrics."""

    labels: Labels
    gateway: str | None


def get(place: Place, *, everywhere: bool, shown: Shown) -> None:
    """All rollouts, one line each."""

    async def ask(session: Session) -> list[Model]:
        found = await session.models(everywhere=everywhere)
        if not found:
            where = "" if everywhere else f" in namespace {session.namespace!r}"
            typer.echo(f"there are no ModelDeployments{where}", err=True)
        return found

    models = run(place, ask)
    if shown is not Shown.TEXT:
        typer.echo(documents.written({"rollouts": [overview.line(one) for one in models]}, shown))
    elif models:
        _print(overview.table(models, now=_now(), namespaces=everywhere))


def names(place: Place, beginning: str) -> list[str]:
    """The models that begin so; none where the cluster does not say it at once: a shell waits for it."""

    async def ask(session: Session) -> list[str]:
        async with asyncio.timeout(_SHELL_WAITS):
            return [one.name for one in await session.models(everywhere=False) if one.name.startswith(beginning)]

    try:
        return run(place, ask)
    except (CommandError, TimeoutError):
        return []


def status(place: Place, name: str, *, shown: Shown, program: str) -> None:
    """One rollout."""
    model = run(place, lambda session: session.model(name))
    _show(shown, tree.document(model), lambda: tree.tree(model, now=_now(), program=program))


def watch(place: Place, name: str, *, shown: Shown, program: str) -> None:
    """One rollout, again whenever it changes, until interrupted."""
    if shown is not Shown.TEXT:
        run(place, lambda session: _stream(session, name, shown))
        return
    console = unfolded()
    if console.is_terminal:
        run(place, lambda session: _live(session, name, console, program))
    else:
        run(place, lambda session: _append(session, name, console, program))


def history(place: Place, name: str, *, shown: Shown) -> None:
    """How its attempts ended."""
    model = run(place, lambda session: session.model(name))
    if shown is Shown.TEXT and not model.status.history:
        typer.echo(f"{name}: no rollout has ended yet", err=True)
        return
    _show(shown, past.document(model), lambda: past.table(model, now=_now()))


def explain(place: Place, name: str, *, revision: str, metrics: Metrics, shown: Shown) -> None:
    """Why an attempt ended as it did."""

    async def ask(session: Session) -> story.Story:
        model = await session.model(name)
        events = await session.events(name)
        return story.story(model, events, revision=revision, labels=metrics.labels, gateway=metrics.gateway)

    told = run(place, ask)
    _show(shown, story.document(told), lambda: story.tree(told, now=_now()))


async def _live(session: Session, name: str, console: Terminal, program: str) -> None:
    """On a terminal the tree is drawn in place; ages go on by themselves."""
    latest: list[Model] = []

    def view() -> RenderableType:
        return tree.tree(latest[-1], now=_now(), program=program) if latest else ""

    with Live(console=console, get_renderable=view, refresh_per_second=1, vertical_overflow="visible") as live:
        async for model in session.versions(name):
            latest[:] = [model]
            live.refresh()


async def _append(session: Session, name: str, console: Terminal, program: str) -> None:
    async for model in session.versions(name):
        console.print(tree.tree(model, now=_now(), program=program))


async def _stream(session: Session, name: str, shown: Shown) -> None:
    """JSON: a line a change; YAML: a document a change."""
    async for model in session.versions(name):
        found = tree.document(model)
        typer.echo(documents.as_line(found) if shown is Shown.JSON else f"---\n{documents.as_yaml(found)}")
        sys.stdout.flush()


def _show(shown: Shown, found: Any, view: Callable[[], RenderableType]) -> None:
    if shown is Shown.TEXT:
        _print(view())
    else:
        typer.echo(documents.written(found, shown))


def _print(view: RenderableType) -> None:
    unfolded().print(view)


def _now() -> datetime:
    return datetime.now(UTC)
