"""`pointsman promote`, `abort`, `approve`, `pause`, `resume` and `retry`: writes the annotation and waits for what the operator makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import typer
from rich.console import Console

from pointsman.cli import asking
from pointsman.cli.asking import Request, Verb
from pointsman.cli.faults import AbsentError, NotNowError
from pointsman.cli.place import Place
from pointsman.cli.session import Session, run
from pointsman.cluster.answers import Missing
from pointsman.cluster.kinds import MODEL_DEPLOYMENT


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for the operator, in seconds; 0: not at all."""

    seconds: float


def act(place: Place, name: str, verb: Verb, patience: Patience) -> None:
    """Ask for it, and say what happened."""
    typer.echo(run(place, lambda session: _act(session, name, verb, patience)))


async def _act(session: Session, name: str, verb: Verb, patience: Patience) -> str:
    asked = asking.request(verb, await session.model(name))
    try:
        await session.client.merge(MODEL_DEPLOYMENT, session.namespace, name, asked.patch())
    except Missing as gone:
        raise AbsentError(f"ModelDeployment {name!r} was deleted meanwhile") from gone
    if not patience.seconds:
        return f"{name}: asked for {asked.about}"
    console = Console(stderr=True)
    try:
        async with asyncio.timeout(patience.seconds):
            with console.status(f"{name}: waiting for the operator: asked for {asked.about}"):
                return f"{name}: {await _answer(session, name, asked)}"
    except TimeoutError:
        raise NotNowError(
            f"{name}: asked for {asked.about}, and the operator has not acted for {patience.seconds:g} s: is it running? What"
            f" is asked for stays in the annotation {asked.key}, and is done as soon as it is seen"
        ) from None


async def _answer(session: Session, name: str, asked: Request) -> str:
    async for model in session.versions(name):
        said = asking.answer(asked, model)
        if said is not None:
            return said
    raise AssertionError("versions never end")
